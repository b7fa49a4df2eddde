"""What of a version may leave the disk: weights files of epochs, and the state of a run that has ended.

The record is changed first, then the files go: a kill in between leaves files that no record names, which the next
look removes, and never a record that names a file that is gone. The selected file stays in any case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lorasweep.runs import ledger, lock, paths
from lorasweep.runs.record import Record
from lorasweep.schema.goals import measure_of

ENDED = ("complete", "pruned")
"""What has ended so is not gone on with; a search's retries go on from all else."""


def surplus(record: Record, keep: int) -> list[int]:
    """Return the epochs whose weights files may go: all that have one but the selected and the last `keep`.

    Args:
        record: of the version.
        keep: how many of the last are kept.
    """
    saved = [entry.epoch for entry in record.saved]
    return [epoch for epoch in saved[: max(0, len(saved) - keep)] if epoch != record.selected_epoch]


def drop_epochs(record: Record, epochs: Sequence[int]) -> list[Path]:
    """Remove the weights files of some epochs, and those that no entry of the record names.

    Args:
        record: of the version; its entries lose their files.
        epochs: whose files go.

    Returns:
        The files that were removed.
    """
    if epochs:
        record.epochs = [replace(each, file=None) if each.epoch in epochs else each for each in record.epochs]
        record.write()
    removed = nameless(record)
    for path in removed:
        path.unlink(missing_ok=True)
    return removed


def nameless(record: Record) -> list[Path]:
    """Return the weights files of epochs in a version's folder that its record does not name."""
    named = {entry.file for entry in record.epochs}
    return [path for path in paths.epoch_weights(record.folder, record.stem) if path.name not in named]


def drop_state(folder: Path) -> None:
    """Remove the saved state of a version that has ended."""
    for path in paths.states(folder):
        path.unlink(missing_ok=True)


def drop_beaten_states(output_root: Path | str, name: str, study: str) -> None:
    """Remove the states of a study's trials that have ended, but for the best one's, which can be trained for longer.

    Trials that run, or that a retry goes on from, keep theirs. Several processes may do this at once.

    Args:
        output_root: folder of all versions.
        name: of the LoRA that the study trains.
        study: its name.
    """
    trials = [version for version in ledger.versions(output_root, name) if version.record.study == study]
    ended = [version for version in trials if version.record.status in ENDED]
    best = min((version for version in ended if version.record.status == "complete"), key=_loss, default=None)
    for version in ended:
        if version is not best and not lock.is_locked(version.folder):
            drop_state(version.folder)


def _loss(version: ledger.RecordedVersion) -> tuple[float, int]:
    """Return the objective, lower being better; what was not measured comes last."""
    objective = version.record.objective
    value, measure = objective.value, measure_of(objective.name)
    if value is None or not math.isfinite(value) or measure is None:
        return math.inf, version.number
    return (value if measure.direction == "minimize" else -value), version.number
