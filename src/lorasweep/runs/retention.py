"""What of a version may leave the disk: weights files of epochs, and the state of a training that has ended.

The record is changed first, then the files go: a kill in between leaves files that no record names, which the next
look removes, and never a record that names a file that is gone. The selected file stays in any case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorasweep.runs import ledger, lock
from lorasweep.schema.measures import MEASURES

ENDED = ("complete", "pruned")
"""What has ended so is not gone on with; a search's retries go on from all else."""


def surplus(epochs: Iterable[Mapping[str, Any]], selected: int | None, keep: int) -> list[int]:
    """Return the epochs whose weights files may go: all that have one but the selected and the last `keep`.

    Args:
        epochs: entries of a record, in order.
        selected: the selected epoch.
        keep: how many of the last are kept.
    """
    saved = [entry["epoch"] for entry in epochs if entry["file"]]
    return [epoch for epoch in saved[: max(0, len(saved) - keep)] if epoch != selected]


def drop_epochs(record: ledger.Record, epochs: Sequence[int]) -> list[Path]:
    """Remove the weights files of some epochs, and those that no entry of the record names.

    Args:
        record: of the version; its entries lose their files.
        epochs: whose files go.

    Returns:
        The files that were removed.
    """
    if epochs:
        entries = record.values["epochs"]
        record.update(epochs=[{**entry, "file": None} if entry["epoch"] in epochs else entry for entry in entries])
    removed = nameless(record.path.parent, record.values)
    for path in removed:
        path.unlink(missing_ok=True)
    return removed


def nameless(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Return the weights files of epochs in a version's folder that its record does not name."""
    named = {entry["file"] for entry in record.get("epochs") or ()}
    pattern = re.compile(rf"{re.escape(stem(record))}-\d{{6,}}\.safetensors")
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name) and path.name not in named)


def states(folder: Path) -> list[Path]:
    """Return the saved states of the version in a folder; there is one, but for the moment in which it is replaced."""
    return sorted((folder / "state").glob("step-*.safetensors"))


def drop_state(folder: Path) -> None:
    """Remove the saved state of a version that has ended."""
    for path in states(folder):
        path.unlink(missing_ok=True)


def stem(record: Mapping[str, Any]) -> str:
    """Return how the names of a version's weights files begin: `FuzzyBear_v6`."""
    return f"{record['name']}_v{record['version']}"


def drop_beaten_states(output_root: Path | str, name: str, study: str) -> None:
    """Remove the states of a study's trials that have ended, but for the best one's, which can be trained for longer.

    Trials that run, or that a retry goes on from, keep theirs. Several processes may do this at once.

    Args:
        output_root: folder of all versions.
        name: of the LoRA that the study trains.
        study: its name.
    """
    trials = [v for v in ledger.versions(output_root, name) if (v.record.get("trial") or {}).get("study") == study]
    ended = [version for version in trials if version.record.get("status") in ENDED]
    best = min((version for version in ended if version.record["status"] == "complete"), key=_loss, default=None)
    for version in ended:
        if version is not best and not lock.is_held(version.folder):
            drop_state(version.folder)


def _loss(version: ledger.Version) -> tuple[float, int]:
    """Return the objective, lower being better; what was not measured comes last."""
    objective = version.record.get("objective") or {}
    value, measure = objective.get("value"), MEASURES.get(objective.get("name", ""))
    if value is None or not math.isfinite(value) or measure is None:
        return math.inf, version.number
    return (value if measure.direction == "minimize" else -value), version.number
