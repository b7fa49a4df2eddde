"""A version that begins where another one stopped: a retried trial, or one that is to be trained for longer.

Every draw of a run is a function of the seed and of where it is drawn, so what an earlier version has done up
to its last saved state is what the new one would do, but for the order in which a GPU adds
(`training.deterministic`): it is copied under the new name instead. The earlier version may have been killed in the
middle of anything; its folder is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.export.weights import read_weights, write_weights
from lorasweep.runs import lock, paths, state
from lorasweep.runs.record import Epoch, Origin, Record
from lorasweep.tracking.jsonl import truncate_after
from lorasweep.training.start import remeasuring
from lorasweep.training.start.subject import Differences, Subject, differences


class Unfit(Exception):
    """An earlier version cannot be continued; the text says why."""


@dataclass(frozen=True)
class Earlier:
    """A version that can be continued.

    Attributes:
        record: its record.
        state: its last saved state.
        step: the optimizer steps that are in it.
        differences: between what it was begun with and what the new version is begun with.
    """

    record: Record
    state: Path
    step: int
    differences: Differences


@contextmanager
def continuable(folder: Path, subject: Subject, *, longer: bool = False) -> Iterator[Earlier]:
    """Find what is to be continued, and keep every process from training that version in the meantime.

    A version that was killed before its first state, but was itself to continue another one, leads on to that one.

    Args:
        folder: the earlier version's folder.
        subject: what the new version learns from, and how.
        longer: whether it may be of another length.

    Raises:
        Unfit: there is nothing to continue, or it was another run, or it still runs.
    """
    record = _record(folder)
    found = differences(Subject.saved(record), subject)
    if others := found.others + ([] if longer else [f"another {key}" for key in found.longer]):
        more = f"; {len(others) - 3} more" if len(others) > 3 else ""
        raise Unfit(f"it is another run: {'; '.join(others[:3])}{more}")
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.standing_still(folder))
            last = state.latest(folder)
        except lock.Locked as holder:
            raise Unfit(f"it is still being trained, by process {holder}") from None
        except UserError as error:
            raise Unfit("; ".join(error.problems)) from None
        if last is not None:
            named = [str(entry.file) for entry in record.saved if entry.step <= last[1]]
            if missing := [name for name in named if not (folder / name).exists()]:
                raise Unfit(f"{missing[0]} is gone")
            yield Earlier(record, *last, found)
            return
    if record.continued_from is None:
        raise Unfit("it has no saved state yet")
    with continuable(paths.sibling(folder, record.continued_from.version), subject, longer=longer) as earlier:
        yield earlier


def copy_progress(earlier: Earlier, record: Record, epoch_ends: Sequence[int]) -> None:
    """Copy what `earlier` has done into the folder of a new version, the state last: without it nothing counts.

    Args:
        earlier: as `continuable` gives it.
        record: of the new version, which then has it too.
        epoch_ends: the steps at which its epochs end.

    Raises:
        Unfit: a weights file is damaged; nothing that counts was copied.
        OSError: the disk is full or the like.
    """
    measures = earlier.differences.measures
    source, target = earlier.record.folder, record.folder
    epochs = []
    for entry in whole_epochs(earlier.record.epochs, earlier.step, epoch_ends, measures):
        renamed = paths.weights(target, record.stem, entry.epoch) if entry.file else None
        if renamed is not None:
            _copy_weights(source / str(entry.file), renamed, record.stem)
        epochs.append(replace(entry, file=renamed.name if renamed is not None else None))
    kept = {0, *(entry.epoch for entry in epochs)}
    for picture, epoch in paths.samples(source).items():
        if epoch in kept and remeasuring.PICTURES not in measures:
            _copy(picture, target / picture.relative_to(source))
    if paths.metrics(source).exists():
        _copy(paths.metrics(source), paths.metrics(target))
        truncate_after(paths.metrics(target), earlier.step)
        remeasuring.set_aside_rows(target, measures)
    _copy(earlier.state, paths.state(target, earlier.step))
    record.epochs, record.metrics = epochs, replace(earlier.record.metrics, selected=None, source=None)
    record.started_from = earlier.record.started_from
    record.continued_from = Origin(earlier.record.version, earlier.step)
    record.write()


def whole_epochs(
    entries: Iterable[Epoch], step: int, epoch_ends: Sequence[int], measures: Collection[str]
) -> list[Epoch]:
    """Return a record's entries of epochs that are over after `step` steps and end in this plan where they did.

    The last epoch of a shorter plan may have been cut short: that was another epoch than the one of its number here.

    Args:
        entries: of the record.
        step: optimizer steps done.
        epoch_ends: the steps at which the epochs end, in order.
        measures: beginnings of the names of what is measured in another way now; it no longer competes.
    """
    return [
        replace(entry, metrics=remeasuring.set_aside(entry.metrics, measures))
        for entry in entries
        if entry.step <= step and list(epoch_ends[entry.epoch - 1 : entry.epoch]) == [entry.step]
    ]


def _record(folder: Path) -> Record:
    try:
        return Record.read(folder)
    except (OSError, ValueError):
        raise Unfit("its folder is gone" if not folder.exists() else "it was stopped before it began") from None


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
