"""docs/architecture.md names modules, functions and methods that exist; README sends its readers there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
WAYS = PAGE[PAGE.index("## The way of one training step") :]
NAMES = sorted({name for name in re.findall(r"`([a-z_]+(?:\.\w+)*)`", WAYS) if "." in name and ".py" not in name})


@pytest.mark.parametrize("name", NAMES)
def test_what_the_ways_name_exists(name: str) -> None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(["lorasweep", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return
    raise AssertionError(f"there is no lorasweep.{name}")


def test_the_ways_name_the_whole_of_them() -> None:
    assert len(NAMES) > 25


def test_every_room_says_in_its_head_what_it_is() -> None:
    for room in re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE):
        path = ROOT / "src" / "lorasweep" / room
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        assert file.read_text().startswith('"""'), room


def test_the_readme_has_no_map_of_its_own() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "(docs/architecture.md)" in readme and "`randomness`" not in readme
