"""Version numbers and version folders: a new one, a certain one, all of them.

`outputs/<slug>/v<N>/` is one version. Numbers continue the documented history in `conf/lora/<slug>/` and are never
given twice, not even after a folder was deleted: each number is claimed by creating `outputs/<slug>/.claims/<N>`
exclusively, which the file system decides atomically for parallel starts, on network file systems too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.runs import command_lines as commands
from lorasweep.runs import lock, paths
from lorasweep.runs.record import Record
from lorasweep.schema import schema_keys, slug

MULTIRUN = "LORASWEEP_MULTIRUN"
"""The environment variable that says which multirun a process works for; the records of its versions keep it."""

LENGTHS = ("training.epochs", "training.max_steps")
"""Settings that say for how long a version is trained; the second wins."""


def last_documented(name: str, recipes: Iterable[Path]) -> int:
    """Return the highest version that recipes document for a name; 0 without a history.

    Args:
        name: the display name.
        recipes: folders of recipes.
    """
    files = (path for folder in recipes for path in (folder / slug(name)).glob("v*.yaml"))
    return max((_number(path.stem) for path in files), default=0)


def open_version(output_root: Path | str, name: str, recipes: Iterable[Path] | None = None) -> tuple[int, Path]:
    """Claim the next version number of `name` and create its folder.

    Args:
        output_root: folder of all versions.
        name: the display name.
        recipes: folders of recipes, whose history the numbers continue; None = those of the program.

    Returns:
        The number and the new, empty folder `<output_root>/<slug>/v<N>`.

    Raises:
        UserError: the folder cannot be written.
    """
    home = Path(output_root) / slug(name)
    claims = home / ".claims"
    history = last_documented(name, commands.recipe_folders() if recipes is None else recipes)
    try:
        claims.mkdir(parents=True, exist_ok=True)
        while True:
            taken = [history, *(_number(path.name) for path in home.iterdir())]
            taken += [int(claim.name) for claim in claims.iterdir() if claim.name.isdigit()]
            number = max(taken) + 1
            try:
                os.close(os.open(claims / str(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                continue  # a parallel start was faster: look again
            folder = home / f"v{number}"
            folder.mkdir()
            return number, folder
    except OSError as error:
        raise UserError(
            f"output_root={output_root} cannot be written ({error.strerror}): choose another with output_root=FOLDER"
        ) from None


def find(output_root: Path | str, name: str, which: str) -> Path:
    """Return the folder of version `which` ("v6" or "latest") of `name`.

    The latest is the latest that began: a start that failed before anything was measured is passed over.

    Raises:
        UserError: there is no such version; the message lists those that exist.
    """
    home = Path(output_root) / slug(name)
    numbers = sorted(_number(path.name) for path in home.glob("v*") if paths.record(path).exists())
    begun = [number for number in numbers if _began(home / f"v{number}")]
    if not numbers or (which == "latest" and not begun):
        raise UserError(f"resume={which}: {home} holds no version to resume; start one without resume")
    if which == "latest":
        return home / f"v{begun[-1]}"
    if _number(which) not in numbers:
        known = ", ".join(f"v{number}" for number in numbers)
        raise UserError(f"resume={which}: {home} has {known}; give one of these, or resume=latest")
    return home / f"v{_number(which)}"


def _began(folder: Path) -> bool:
    return Record.read(folder).status != "failed" or paths.metrics(folder).exists()


def longer(record: Record, output_root: str) -> str:
    """Return the command that trains a version for twice as long as it was planned, as a new version."""
    epochs, steps = (record.setting(schema_keys()[key]) for key in LENGTHS)
    change = f"training.epochs={2 * epochs}" if steps is None else f"training.max_steps={2 * steps}"
    return commands.resume(record.name, record.recipe, record.version, output_root, change)


def check_unfinished(record: Record, output_root: str) -> None:
    """Refuse to resume a version that is complete, unless it is to be trained for longer.

    Raises:
        UserError: it is complete.
    """
    if record.status == "complete":
        done = record.epochs[-1].step if record.epochs else 0
        raise UserError(
            f"v{record.version} is complete ({done} steps) and stays as it is; a longer training is a new version",
            ways={
                "train it for longer": longer(record, output_root),
                "start a new version": commands.train(commands.changed(record.overrides, [])),
            },
        )


@dataclass(frozen=True)
class RecordedVersion:
    """One version that was begun.

    Attributes:
        record: its record.
    """

    record: Record

    @property
    def name(self) -> str:
        """Return the name of its LoRA."""
        return self.record.name

    @property
    def number(self) -> int:
        """Return N of vN."""
        return self.record.version

    @property
    def folder(self) -> Path:
        """Return its folder."""
        return self.record.folder

    @property
    def status(self) -> str:
        """How it ended, or that it is running. What a kill or a power cut ended is interrupted, whatever it wrote."""
        status = self.record.status
        return "interrupted" if status == "running" and not lock.is_locked(self.folder) else status


def versions(output_root: Path | str, name: str | None = None) -> list[RecordedVersion]:
    """Return every version with a readable record, by name and number; `unreadable` has the others."""
    folders = [folder for folder in _folders(output_root) if name is None or folder.parent.name == slug(name)]
    found = [RecordedVersion(record) for folder in folders if (record := _read(folder)) is not None]
    return sorted(found, key=lambda version: (version.name, version.number))


def unreadable(output_root: Path | str) -> list[Path]:
    """Return the folders whose records are none, such as one that a hand has edited or a disk has lost."""
    return [folder for folder in _folders(output_root) if _read(folder) is None]


def number_of(folder: Path) -> int:
    """Return the number of the version in a folder, 0 where its name is not `v<N>`."""
    return _number(folder.name)


def _folders(output_root: Path | str) -> list[Path]:
    return sorted(folder for folder in Path(output_root).glob("*/v*") if paths.record(folder).exists())


def _read(folder: Path) -> Record | None:
    try:
        return Record.read(folder)
    except (OSError, ValueError):
        return None


def _number(text: str) -> int:
    """Return N of `vN`, or 0 for anything else."""
    match = re.fullmatch(r"v(\d+)", text)
    return int(match[1]) if match else 0
