"""What the path of a base is: a hub's id, a single file or a folder."""

from __future__ import annotations

import re
from pathlib import Path

from lorasweep.families.weights_files import is_weights_name


def is_hub_id(path: str) -> bool:
    """Return whether `path` reads as `organisation/name` of a model hub rather than as a local path.

    It is a local path if it exists, if its parent folder does, or if it has any other form.
    """
    named = bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path)) and not is_weights_name(path)
    return named and not Path(path).exists() and not Path(path).parent.exists()


def is_single_file(path: str | None) -> bool:
    """Return whether a base is one file (there or missing) rather than a folder or a hub id."""
    return path is not None and (Path(path).is_file() or (is_weights_name(path) and not Path(path).is_dir()))
