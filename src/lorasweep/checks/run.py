"""Name and place of a run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lorasweep.errors import Problem
from lorasweep.schema import Config, slug, value_at


def _name(config: Config) -> Iterator[Problem]:
    if not re.fullmatch(r"\w[\w .-]*", config.name) or slug(config.name) == "unnamed":
        expected = "expected letters, digits, space, '.', '_' or '-' (it becomes file names)"
        yield Problem(f"name={config.name}: {expected}", "name")


def _output(config: Config) -> Iterator[Problem]:
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
            yield Problem(f"{key}={target} cannot be written ({why}): choose another with {key}=FOLDER", key)


RULES = (_name, _output)
