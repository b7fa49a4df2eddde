"""Finding studies that were kept: by name, below the folder of all versions or in a storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from lorasweep.errors import UserError
from lorasweep.search.budget import retried
from lorasweep.search.settings import FINALS, SPARE
from lorasweep.search.storage import journal_url, open_storage, redacted, resolved
from lorasweep.search.study import load_finals
from lorasweep.text.names import nearest
from lorasweep.text.shell import shell_quoted

_TITLE = "There is no such study"


@dataclass(frozen=True)
class StoredStudy:
    """A study and what belongs to it.

    Attributes:
        study: the search.
        finals: the study of its repeats, folds and refits; None without.
        url: where both are kept.
    """

    study: optuna.Study
    finals: optuna.Study | None
    url: str

    def dashboard(self) -> str | None:
        """Return the command that opens the study in optuna-dashboard; None where it cannot (a gRPC proxy)."""
        scheme, _, rest = self.url.partition(":///")
        if self.url.startswith("grpc://"):
            return None
        # The dashboard knows a journal by its path, and a database by its URL.
        command = ["optuna-dashboard", _near(Path(rest)) if scheme == "journal" else redacted(self.url)]
        artifacts = Path(self.study.user_attrs.get("folder") or ".", "artifacts")
        if artifacts.is_dir():
            command += ["--artifact-dir", _near(artifacts)]
        return " ".join(map(shell_quoted, command))


def find_study(name: str, output_root: Path, url: str | None = None) -> StoredStudy:
    """Return a study by its name.

    Args:
        name: the study's.
        output_root: the folder of all versions; a study is kept in `<output_root>/studies/<name>/journal.log`.
        url: the storage to look in instead.

    Raises:
        UserError: there is no such study; the message names those that there are, and the nearest one.
    """
    usual = output_root / "studies" / name / "journal.log"
    if url is None and usual.is_file() and name in _inside(journal_url(usual)):  # without reading all the others
        return _open(name, journal_url(usual))
    there = study_urls(output_root, url)
    if name in there:
        return _open(name, there[name])
    where = str(output_root / "studies") if url is None else redacted(url)
    near = nearest(name, there)
    guess = f" Did you mean {near}?" if near else ""
    listed = f"there is {', '.join(there)}" if there else "there is none"
    elsewhere = "; one that is kept elsewhere needs --storage URL" if url is None else ""
    raise UserError(f"no study {name!r} in {where}: {listed}{elsewhere}.{guess}", _TITLE)


def study_urls(output_root: Path, url: str | None = None) -> dict[str, str]:
    """Return the URL of each study below `output_root`, or in the storage at `url`, by name, sorted.

    Raises:
        UserError: a storage cannot be read.
    """
    urls = [journal_url(path) for path in (output_root / "studies").glob("**/journal.log")] if url is None else [url]
    found = {name: place for place in map(resolved, urls) for name in _inside(place)}
    return dict(sorted(found.items()))


def settled(names: Iterable[str], output_root: Path, url: str | None = None) -> set[tuple[str, int]]:
    """Return study and number of every trial that its study will not go on with: it, or who went on with it, has ended.

    Args:
        names: of studies; those of repeats and folds end in `FINALS`. Of studies that are not found, none is settled.
        output_root: the folder of all outputs.
        url: of the storage that they are in; None for the journals below `output_root`.
    """
    there = study_urls(output_root, url)
    found: set[tuple[str, int]] = set()
    for name in names:
        search = name.removesuffix(FINALS)
        if search not in there:
            continue
        known = _open(search, there[search])
        study = known.study if name == search else known.finals
        trials = study.get_trials(deepcopy=False) if study is not None else []
        followers = retried(trials)
        ended = {trial.number for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)}
        for trial in reversed(trials):  # a follower comes after whom it follows
            if followers.get(trial.number) in ended:
                ended.add(trial.number)
        found |= {(name, number) for number in ended}
    return found


def _inside(url: str) -> list[str]:
    names = optuna.get_all_study_names(open_storage(url, create=False))
    return [name for name in names if not name.endswith((FINALS, SPARE))]


def _open(name: str, url: str) -> StoredStudy:
    storage = open_storage(url, create=False)
    study = optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler())
    return StoredStudy(study, load_finals(name, storage), url)


def _near(path: Path) -> str:
    """Return a path as short as it can be from the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path)
