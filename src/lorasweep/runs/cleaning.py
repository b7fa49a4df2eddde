"""What can be removed of the versions on the disk without losing one: looked for first, removed on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.runs import ledger, lock, paths, retention
from lorasweep.runs.record import Record

Trial = tuple[str, int]
"""Name of a study, number of a trial."""


@dataclass(frozen=True)
class Surplus:
    """What of one version can go.

    Attributes:
        version: whose.
        epochs: epochs whose weights files can go.
        weights: these files, and those that the record does not name.
        state: its saved state, if that can go.
        leftovers: what a killed process had not finished.
        left: why nothing of it can go; "" otherwise.
    """

    version: ledger.RecordedVersion
    epochs: Sequence[int] = ()
    weights: Sequence[Path] = ()
    state: Sequence[Path] = ()
    leftovers: Sequence[Path] = ()
    left: str = ""

    @property
    def paths(self) -> list[Path]:
        """Return everything that can go."""
        return [*self.weights, *self.state, *self.leftovers]

    @property
    def size(self) -> int:
        """Return the bytes that removing it frees; what has another name stays under that, as does a link's target."""
        found = (each for path in self.paths for each in (path.rglob("*") if path.is_dir() else [path]))
        return sum(stat.st_size for path in found if not path.is_dir() and (stat := path.lstat()).st_nlink == 1)


@dataclass(frozen=True)
class Rules:
    """What stays.

    Attributes:
        keep_epochs: of how many of the last epochs the weights files stay, besides the selected one's.
        keep_states: whether the states of versions that have ended stay.
        settled: trials that their study will not go on with any more.
    """

    keep_epochs: int = 1
    keep_states: bool = False
    settled: Collection[Trial] = ()


def surplus_of(
    versions: Iterable[ledger.RecordedVersion], everything: Iterable[ledger.RecordedVersion], rules: Rules
) -> list[Surplus]:
    """Return what can go, for each version; the selected file, the record and the samples never do.

    Left alone is what is being trained, what was interrupted or failed and can be gone on with, and what a study may
    still go on with.

    Args:
        versions: which to look at.
        everything: all versions there are, to know which of them others have gone on with.
        rules: what stays.
    """
    superseded = _superseded(everything)
    return [_look(version, version.folder in superseded, rules) for version in versions]


def remove(found: Surplus) -> bool:
    """Remove what can go of one version; return whether that was possible: not if it was gone on with meanwhile."""
    folder = found.version.folder
    try:
        lock_file = lock.take(folder)
    except UserError:
        return False
    with lock_file:
        record = Record.read(folder)
        if record != found.version.record:
            return False
        retention.drop_epochs(record, found.epochs)
        for path in found.state:
            path.unlink(missing_ok=True)
        for subfolder in paths.subfolders(folder):
            files.remove_leftovers(subfolder)
    return True


def _look(version: ledger.RecordedVersion, superseded: bool, rules: Rules) -> Surplus:
    record, folder = version.record, version.folder
    if lock.is_locked(folder):
        return Surplus(version, left="it is being trained")
    trial = record.trial
    if trial and (trial.study, trial.number) not in rules.settled:
        return Surplus(version, left=f"study {trial.study} may go on with it, or is kept elsewhere (--storage URL)")
    if version.status not in retention.ENDED and not superseded:
        return Surplus(version, left="it has not ended: it can be resumed")
    epochs = retention.surplus(record, rules.keep_epochs)
    weights = [folder / str(entry.file) for entry in record.epochs if entry.epoch in epochs]
    return Surplus(
        version,
        epochs=epochs,
        weights=[*(path for path in weights if path.exists()), *retention.nameless(record)],
        state=[] if rules.keep_states else paths.states(folder),
        leftovers=[path for subfolder in paths.subfolders(folder) for path in files.leftovers(subfolder)],
    )


def _superseded(versions: Iterable[ledger.RecordedVersion]) -> set[Path]:
    """Return the folders of versions that a version which has ended went on from: all that they did is in that one."""
    known = {version.folder: version for version in versions}
    found: set[Path] = set()
    for version in known.values():
        at: ledger.RecordedVersion | None = version if version.record.status in retention.ENDED else None
        while at is not None and (origin := at.record.continued_from):
            folder = paths.sibling(at.folder, origin.version)
            if folder in found:
                break
            found.add(folder)
            at = known.get(folder)
    return found
