"""Names that stand for code: shipped, of installed packages, dotted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lorasweep import registry as registry_module
from lorasweep.errors import UserError
from lorasweep.registry import Registry, is_allowed, is_dotted


@pytest.fixture
def shapes() -> Registry[object]:
    return Registry("shape", "lorasweep.shapes", {"json": "json:JSONDecoder", "broken": "lorasweep.nothing:Here"})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    entries = [
        EntryPoint("theirs", "string:Template", "lorasweep.shapes"),
        EntryPoint("failing", "no_such_module_of_theirs:Mine", "lorasweep.shapes"),
        EntryPoint("json", "string:Template", "lorasweep.shapes"),
    ]
    registry_module._entries.cache_clear()
    monkeypatch.setattr(registry_module, "entry_points", lambda group: entries if group == "lorasweep.shapes" else [])
    yield
    registry_module._entries.cache_clear()


def test_names_are_listed_without_an_import(shapes: Registry[object], installed: None) -> None:
    assert list(shapes) == ["json", "broken", "failing", "theirs"] and len(shapes) == 4
    assert "theirs" in shapes and "json" in shapes and "string:Template" not in shapes
    assert "lorasweep.nothing" not in sys.modules


def test_a_name_stands_for_what_is_shipped_installed_or_dotted(shapes: Registry[object], installed: None) -> None:
    import json
    import string

    assert shapes["json"] is json.JSONDecoder, "no installed package takes a shipped name"
    assert shapes["theirs"] is string.Template
    assert shapes["string:Template.idpattern"] == string.Template.idpattern


def test_an_unknown_name_tells_what_there_is(shapes: Registry[object], installed: None) -> None:
    with pytest.raises(UserError, match=r"no shape jsn: expected one of json, .*theirs; did you mean json\?"):
        shapes["jsn"]


def test_what_cannot_be_imported_is_told_in_a_line(shapes: Registry[object], installed: None) -> None:
    with pytest.raises(UserError, match=r"shape failing cannot be imported from no_such_.* \(ModuleNotFoundError: "):
        shapes["failing"]
    with pytest.raises(UserError, match=r"shape string:Nothing cannot be imported"):
        shapes["string:Nothing"]
    with pytest.raises(ModuleNotFoundError):  # ours to mend, not the user's
        shapes["broken"]


def test_own_module_on_the_path(shapes: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_shape_module.py").write_text("MINE = 'mine'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert shapes["own_shape_module:MINE"] == "mine"


@pytest.mark.parametrize(
    ("name", "dotted"), [("a:B", True), ("a.b:C.d", True), ("adamw", False), ("a.b", False), (":b", False), (3, False)]
)
def test_dotted_names(name: object, dotted: bool) -> None:
    assert is_dotted(name) is dotted


def test_what_is_allowed_covers_the_modules_in_it() -> None:
    assert is_allowed("mine.optim:A", ["mine"]) and is_allowed("mine:A", ["mine"])
    assert is_allowed("mine.optim:A", ["mine.optim"]) and not is_allowed("mine.other:A", ["mine.optim"])
    assert not is_allowed("mines:A", ["mine"]) and not is_allowed("mine:A", [])
