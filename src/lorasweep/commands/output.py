"""Files that verbs write for their user."""

from __future__ import annotations

from pathlib import Path

from lorasweep import files
from lorasweep.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write a text to a file, whole or not at all, and say so.

    Args:
        path: of the file; its folder is made.
        text: what it is to hold.

    Raises:
        UserError: it cannot be written.
    """
    try:
        files.write_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})", title="Nothing was written") from error
    print(f"wrote {path}")
