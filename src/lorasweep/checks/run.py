"""Name and place of a run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lorasweep.config import Config, slug, value_at


def _name(config: Config) -> Iterator[str]:
    if not re.fullmatch(r"\w[\w .-]*", config.name) or slug(config.name) == "unnamed":
        yield f"name={config.name}: expected letters, digits, space, '.', '_' or '-' (it becomes file names)"


def _output(config: Config) -> Iterator[str]:
    """Try to write where the run will write; nothing is left behind."""
    for key in ("output_root", "dataset.cache"):
        target = value_at(config, key)
        if target is None:
            continue
        here = Path(target).absolute()
        while not here.exists():
            here = here.parent
        try:
            with tempfile.TemporaryFile(dir=here):
                pass
        except OSError as error:
            why = f"{here}: {error.strerror}"
            yield f"{key}={target} cannot be written ({why}): choose another with {key}=FOLDER"


RULES = (_name, _output)
