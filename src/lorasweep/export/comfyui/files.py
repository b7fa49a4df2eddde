"""Files that go into a ComfyUI folder: copied, and never over another file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep import files
from lorasweep.errors import Problem, UserError


@dataclass(frozen=True)
class Copy:
    """One file that is to be in ComfyUI's folder.

    Attributes:
        source: where it is now.
        target: where ComfyUI looks for it.
    """

    source: Path
    target: Path

    @property
    def is_done(self) -> bool:
        """Return whether the target has the source's content already."""
        if not self.target.is_file() or self.target.stat().st_size != self.source.stat().st_size:
            return False
        return self.target.samefile(self.source) or files.sha256_of(self.target) == files.sha256_of(self.source)


def check_folder(folder: Path) -> None:
    """Hold a folder to being ComfyUI's.

    Raises:
        UserError: it is another.
    """
    if not (folder / "models").is_dir():
        raise UserError(
            f"--comfyui {folder}: expected ComfyUI's folder, the one that its main.py and models/ lie in; give that",
            title="Nothing was written",
        )


def problems(copies: Sequence[Copy]) -> Iterator[Problem]:
    """Yield a line for every file whose place is taken by another."""
    for copy in copies:
        if copy.target.exists() and not copy.is_done:
            yield Problem(
                f"{copy.target} is another file than {copy.source}, and stays as it is: rename it, or remove it if "
                "nothing needs it"
            )


def carry_out(copies: Sequence[Copy]) -> list[Path]:
    """Copy what is not there yet; return the new files.

    Args:
        copies: of which `problems` found none to be in the way.

    Raises:
        UserError: the folder cannot be written.
    """
    new = []
    for copy in copies:
        if copy.target.exists():
            continue
        try:
            with files.writing(copy.target) as temporary:
                shutil.copyfile(copy.source, temporary)
        except OSError as error:
            raise UserError(
                f"{copy.target} cannot be written ({error.strerror})", title="Not all was copied"
            ) from error
        new.append(copy.target)
    return new
