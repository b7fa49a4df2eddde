"""A version that begins where another one stopped: a retried trial, or one that is to be trained for longer.

Every draw of a training is a function of the seed and of where it is drawn, so what an earlier version has done up
to its last saved state is what the new one would do, but for the order in which a GPU adds
(`training.deterministic`): it is copied under the new name instead. The earlier version may have been killed in the
middle of anything; its folder is only read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.export.weights import read_weights, write_weights
from lorasweep.runs import lock, state
from lorasweep.tracking.jsonl import truncate_after
from lorasweep.training import remeasuring
from lorasweep.training.subject import Differences, Subject, differences


class Unfit(Exception):
    """An earlier version cannot be continued; the text says why."""


@dataclass(frozen=True)
class Earlier:
    """A version that can be continued.

    Attributes:
        folder: its version folder.
        record: what its record.json holds.
        state: its last saved state.
        step: the optimizer steps that are in it.
        differences: between what it is a training of and what the new version is.
    """

    folder: Path
    record: Mapping[str, Any]
    state: Path
    step: int
    differences: Differences


@contextmanager
def reading(folder: Path, subject: Subject, *, longer: bool = False) -> Iterator[Earlier]:
    """Find what is to be continued, and keep every process from training that version in the meantime.

    A version that was killed before its first state, but was itself to continue another one, leads on to that one.

    Args:
        folder: the earlier version's folder.
        subject: what the new version is a training of.
        longer: whether it may be of another length.

    Raises:
        Unfit: there is nothing to continue, or it was another training, or it still runs.
    """
    record = _record(folder)
    found = differences(Subject.saved(folder, record), subject)
    if others := found.others + ([] if longer else [f"another {key}" for key in found.longer]):
        more = f"; {len(others) - 3} more" if len(others) > 3 else ""
        raise Unfit(f"it is another training: {'; '.join(others[:3])}{more}")
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.standing_still(folder))
            last = state.latest(folder)
        except lock.Held as holder:
            raise Unfit(f"it is still being trained, by process {holder}") from None
        except UserError as error:
            raise Unfit("; ".join(error.problems)) from None
        if last is not None:
            named = [entry["file"] for entry in record["epochs"] if entry["file"] and entry["step"] <= last[1]]
            if missing := [name for name in named if not (folder / name).exists()]:
                raise Unfit(f"{missing[0]} is gone")
            yield Earlier(folder, record, *last, found)
            return
    if not record.get("continued_from"):
        raise Unfit("it has no saved state yet")
    with reading(folder.with_name(f"v{record['continued_from']['version']}"), subject, longer=longer) as earlier:
        yield earlier


def take_over(earlier: Earlier, folder: Path, name: str, epoch_ends: Sequence[int]) -> dict[str, Any]:
    """Copy what `earlier` has done into the folder of a new version, the state last: without it nothing counts.

    Args:
        earlier: as `reading` gives it.
        folder: the new version folder.
        name: start of its weights files' names, such as `FuzzyBear_v7`.
        epoch_ends: the steps at which its epochs end.

    Returns:
        The values that the new version's record takes over.

    Raises:
        Unfit: a weights file is damaged; nothing that counts was copied.
        OSError: the disk is full or the like.
    """
    measures = earlier.differences.measures
    epochs = []
    for entry in whole_epochs(earlier.record["epochs"], earlier.step, epoch_ends, measures):
        renamed = f"{name}-{entry['epoch']:06d}.safetensors" if entry["file"] else None
        if renamed:
            _copy_weights(earlier.folder / entry["file"], folder / renamed, name)
        epochs.append({**entry, "file": renamed})
    kept = {0, *(entry["epoch"] for entry in epochs)}
    for picture in sorted((earlier.folder / "samples").glob("[0-9]*_[0-9]*.png")):
        if int(picture.name.partition("_")[0]) in kept and remeasuring.PICTURES not in measures:
            _copy(picture, folder / "samples" / picture.name)
    rows = earlier.folder / "metrics.jsonl"
    if rows.exists():
        _copy(rows, folder / rows.name)
        truncate_after(folder / rows.name, earlier.step)
        remeasuring.set_aside_rows(folder / rows.name, measures)
    _copy(earlier.state, folder / "state" / earlier.state.name)
    return {
        "epochs": epochs,
        "metrics": {key: value for key, value in earlier.record["metrics"].items() if key == "base"},
        "started_from": earlier.record.get("started_from"),
        "continued_from": {"version": earlier.record["version"], "step": earlier.step},
    }


def whole_epochs(
    entries: Iterable[Mapping[str, Any]], step: int, epoch_ends: Sequence[int], measures: Collection[str]
) -> list[dict[str, Any]]:
    """Return a record's entries of epochs that are over after `step` steps and end in this plan where they did.

    The last epoch of a shorter plan may have been cut short: that was another epoch than the one of its number here.

    Args:
        entries: of the record.
        step: optimizer steps done.
        epoch_ends: the steps at which the epochs end, in order.
        measures: beginnings of the names of what is measured in another way now; it no longer competes.
    """
    return [
        {**entry, "metrics": remeasuring.set_aside(entry["metrics"], measures)}
        for entry in entries
        if entry["step"] <= step and list(epoch_ends[entry["epoch"] - 1 : entry["epoch"]]) == [entry["step"]]
    ]


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        raise Unfit("its folder is gone" if not folder.exists() else "it was stopped before it began") from None
    return record


def _copy_weights(source: Path, target: Path, name: str) -> None:
    """Copy a weights file, which then says that it is of the version `name`."""
    try:
        tensors, metadata = read_weights(source)
    except UserError as error:
        raise Unfit(f"{source.name}: {'; '.join(error.problems)}") from None
    write_weights(target, tensors, metadata | {"ss_output_name": name, "modelspec.title": name})


def _copy(source: Path, target: Path) -> None:
    with files.writing(target) as temporary:
        shutil.copyfile(source, temporary)
