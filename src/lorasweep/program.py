"""Where the program is installed, and how it was started."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

COMMAND = "LORASWEEP_COMMAND"
"""The environment variable that says what a command line that trains begins with; lanes and jobs inherit it."""


def conf() -> Path:
    """Return the folder of the configs that come with the program: in an installed package, or in a checkout."""
    installed = _package() / "conf"
    return installed if installed.is_dir() else _package().parents[1] / "conf"


def checkout() -> Path | None:
    """Return the repository that the program runs from; None where it was installed without one."""
    root = _package().parents[1]
    return root if conf() == root / "conf" else None


def command() -> str:
    """Return what a command line begins with that trains: `lorasweep train`, or in a checkout `python train.py`."""
    root = checkout()
    here = root is not None and Path.cwd().resolve() == root.resolve()
    return os.environ.get(COMMAND) or ("python train.py" if here else "lorasweep train")


def _package() -> Path:
    return Path(str(resources.files("lorasweep")))
