"""Where a study is kept and where its files go, such that no study ever writes over another's.

A folder belongs to the study that first wrote there; `.study` in it says which. Another one that is sent to the same
folder gets one of its own in it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.search.settings import Settings
from lorasweep.search.storage import journal_url, redacted, resolved
from lorasweep.text.grammar import element

MARK = ".study"
JOURNAL = "journal.log"
ANYWHEN = "\0"  # in a path, for whatever the clock says; no path has it
PASSWORD = "LORASWEEP_STORAGE"
"""The environment variable that brings a storage's whole URL to the jobs where it holds a password."""


@dataclass(frozen=True)
class StudyLocation:
    """Where a study is.

    Attributes:
        name: the study's.
        url: where it is kept, with its password.
        folder: of its tables, plots and pictures.
    """

    name: str
    url: str
    folder: Path

    @property
    def redacted_url(self) -> str:
        """The URL for people, for files and for jobs: with its password hidden."""
        return redacted(self.url)


def locate(settings: Settings, config: DictConfig, goes_on: Callable[[str, str], bool]) -> StudyLocation:
    """Return the location of a study, its folders made and marked as its own; `config` then has them too.

    Where the sweep's folder follows the clock, as Hydra's own does, the newest earlier one in which the same study was
    left unfinished is taken again.

    Args:
        settings: the sweeper's.
        config: the multirun's; `hydra.sweep.dir` becomes the folder of this study's jobs, and a password in
            `hydra.sweeper.storage` is hidden.
        goes_on: tells of a URL and a study's name whether that study is this one, and unfinished.

    Raises:
        UserError: a folder cannot be written, or the storage's URL is of no known form.
    """
    name = settings.study_name or str(config.hydra.job.name)
    sweep, folder = Path(str(config.hydra.sweep.dir)), _folder(settings, config)
    inside = folder.relative_to(sweep) if folder.is_relative_to(sweep) else None
    if settings.storage is None and inside is not None:
        earlier = _earlier(config, inside, lambda url: goes_on(url, name))
        if earlier is not None:
            sweep, folder = earlier, earlier / inside
    url = resolved(settings.storage) if settings.storage else journal_url(folder / JOURNAL)
    owner = f"{name}\n{redacted(url) if settings.storage else ''}\n"
    try:
        if _subdir(config) != ".":  # else the app makes its own folders
            _redirect(config, _claimed(sweep, owner, name))
            folder = Path(str(config.hydra.sweep.dir), inside) if inside is not None else folder
        folder = _claimed(folder, owner, name)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be written ({error.strerror}): choose another folder with "
            "hydra.sweep.dir=... or hydra.sweeper.folder=..."
        ) from error
    _hide_password(config, settings, url)
    return StudyLocation(name, url, folder)


def hydras_own(config: DictConfig) -> list[str]:
    """Return the overrides of a command line that are for Hydra and its plugins, with interpolations as they are."""
    found = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    assert isinstance(found, list)
    return [str(text) for text in found]


def in_folder(config: DictConfig, name: str) -> list[str]:
    """Return the override that puts a job's folder into the folder `name` among the other jobs', if it has one."""
    subdir = _subdir(config)
    return [] if subdir == "." else [f"hydra.sweep.subdir={element(f'{name}/{subdir}')}"]


@contextmanager
def password_in_environment(location: StudyLocation) -> Iterator[None]:
    """While entered, processes that are started here can open the study's storage, password and all."""
    if location.url == location.redacted_url:
        yield
        return
    before = os.environ.get(PASSWORD)
    os.environ[PASSWORD] = location.url
    try:
        yield
    finally:
        os.environ.pop(PASSWORD)
        if before is not None:
            os.environ[PASSWORD] = before


def with_password(url: str) -> str:
    """Return the URL of a storage that a job got without its password.

    Raises:
        UserError: the password did not reach this process.
    """
    if ":***@" not in url and "=***" not in url:
        return url
    found = os.environ.get(PASSWORD)
    if found is None or redacted(found) != url:
        raise UserError(
            f"{url}: the password did not reach this job, as its launcher passes no environment on; give the storage "
            "without one, and the password to every machine in ~/.pgpass or PGPASSWORD",
            title="The study's storage cannot be used",
        )
    return found


def _folder(settings: Settings, config: DictConfig) -> Path:
    return Path(settings.folder or str(config.hydra.sweep.dir)).expanduser()


def _subdir(config: DictConfig) -> str:
    sweep = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(sweep, dict)
    return str(sweep.get("subdir") or ".")


def _earlier(config: DictConfig, inside: Path, goes_on: Callable[[str], bool]) -> Path | None:
    """Return the newest folder that this config would have had at another time, with a study in it to go on with."""
    pattern = _anywhen(config)
    if ANYWHEN not in pattern:
        return None
    glob = re.sub(r"([\[?*])", r"[\1]", pattern).replace(ANYWHEN, "*")
    root = Path(glob).anchor or "."
    journals = Path(root).glob(str(Path(glob, inside, JOURNAL).relative_to(Path(glob).anchor)))
    for journal in sorted(journals, key=lambda path: path.stat().st_mtime, reverse=True):
        if goes_on(journal_url(journal)):
            folder = journal.parent
            return folder.parents[len(inside.parts) - 1] if inside.parts else folder
    return None


def _anywhen(config: DictConfig) -> str:
    """Return the sweep's folder with ANYWHEN wherever the clock has its say."""
    timeless = config.copy()
    OmegaConf.clear_cache(timeless)
    OmegaConf.register_new_resolver("now", lambda pattern: ANYWHEN, replace=True)
    try:
        return str(timeless.hydra.sweep.dir)
    finally:
        setup_globals()  # Hydra's own `now`


def _redirect(config: DictConfig, folder: Path) -> None:
    """Let a multirun's jobs have their folders in `folder`."""
    if str(config.hydra.sweep.dir) != str(folder):
        _change(config, "sweep.dir", str(folder))


def _hide_password(config: DictConfig, settings: Settings, url: str) -> None:
    if settings.storage and redacted(url) != url:
        _change(config, "sweeper.storage", redacted(url))


def _change(config: DictConfig, key: str, value: str) -> None:
    """Change a key of Hydra's own in a multirun's config, and in those of its jobs, which are composed anew."""
    with read_write(config.hydra), open_dict(config.hydra):
        OmegaConf.update(config.hydra, key, value)
        given = [text for text in hydras_own(config) if text.lstrip("+").partition("=")[0] != f"hydra.{key}"]
        config.hydra.overrides.hydra = [*given, f"hydra.{key}={element(value)}"]


def _claimed(folder: Path, owner: str, name: str) -> Path:
    """Return `folder` if it is this study's or nobody's, else one in it that is; it is made and marked."""
    if _owned(folder, owner, _former(folder)):
        return folder
    own = re.sub(r"[^\w.-]+", "_", name).strip("._")[:100] or "study"
    for number in count(1):
        candidate = folder / (own if number == 1 else f"{own}-{number}")
        somebodys = candidate.exists() and not (candidate / MARK).exists() and any(candidate.iterdir())
        if not somebodys and _owned(candidate, owner, None):
            return candidate
    raise AssertionError("not reached")


def _owned(folder: Path, owner: str, former: str | None) -> bool:
    """Return whether a folder is a study's, having marked it where it had no mark.

    Args:
        folder: made where it is missing.
        owner: the study.
        former: whose it is though it has no mark yet; None if nobody's.
    """
    mark = folder / MARK
    if not mark.exists() and former in (None, owner):
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{MARK}.{secrets.token_hex(4)}"
        files.write_atomic(draft, owner)
        try:
            os.link(draft, mark)  # whole, and only where there is none yet
            draft.unlink()
        except FileExistsError:  # another sweeper was faster
            draft.unlink()
        except OSError:  # a file system without links
            draft.replace(mark)
    return mark.exists() and mark.read_text() == owner


def _former(folder: Path) -> str | None:
    """Return whose an unmarked folder is by the config of the multirun that was kept there; None without one."""
    kept = folder / "multirun.yaml"
    if not kept.exists():
        return None
    try:
        hydra = OmegaConf.load(kept).hydra
        sweeper = hydra.sweeper
        if not str(sweeper._target_).endswith(".OptunaSweeper"):
            return "a multirun without a study"
        storage = redacted(resolved(str(sweeper.storage))) if sweeper.get("storage") else ""
        return f"{sweeper.get('study_name') or hydra.job.name}\n{storage}\n"
    except Exception:  # a file of somebody else's, whatever is in it
        return "somebody else"
