"""docs/extending.md: each section names a test that adds one; here are those of keys, families and verbs."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorasweep.commands import cli
from lorasweep.errors import UserError
from lorasweep.schema import LossConfig
from lorasweep.schema.base_model import FAMILIES
from lorasweep.schema.keys import keys_of
from lorasweep.schema.limits import beyond_limits
from lorasweep.schema.option import option

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_tells_of_all_that_can_be_added() -> None:
    kinds = ["key", "optimizer", "schedule", "metric", "feature model", "adapter kind", "tracker", "family", "verb"]
    assert [name.partition(" ")[2] for name in SECTIONS] == kinds


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_names_a_test_and_files_that_exist(name: str) -> None:
    file, test = re.findall(r"^Held by `(tests/[\w/]+\.py)::(\w+)`\.$", SECTIONS[name], re.MULTILINE)[0]
    assert f"def {test}(" in (ROOT / file).read_text()
    for path in re.findall(r"`((?:src|conf|tests)/[^`:]*)`", SECTIONS[name]):
        whole = ROOT / path
        assert (whole.parent.parent if "NAME" in path and path.endswith("/") else whole.parent).is_dir(), path
        assert "NAME" in path or whole.exists(), path


def test_a_key_is_one_line() -> None:
    @dataclass
    class Longer(LossConfig):
        sharpness: float = option(0.0, "how sharp", at_least=0, at_most=1, kohya="loss_sharpness", resume="refused")

    key = keys_of(Longer, "loss.")["loss.sharpness"]
    assert (key.kind, key.default, key.doc, key.kohya) == (float, 0.0, "how sharp", ("loss_sharpness",))
    [problem] = beyond_limits(key, 2.0)
    assert str(problem).startswith("loss.sharpness=2: expected at least 0 and at most 1 (how sharp)")
    assert not list(beyond_limits(key, 0.5))


def test_a_family_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    family = SimpleNamespace(parts=())
    monkeypatch.setitem(FAMILIES._found, "mine", family)
    assert FAMILIES["mine"] is family
    with pytest.raises((UserError, KeyError)):
        FAMILIES["yours"]


def test_a_verb_is_a_module_in_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def add(verbs: Any) -> None:
        parser = verbs.add_parser("greet", help="say hello")
        parser.add_argument("whom")
        parser.set_defaults(verb=run)

    def run(args: argparse.Namespace) -> int:
        print(f"hello {args.whom}")
        return 3

    monkeypatch.setattr(cli, "VERBS", (*cli.VERBS, SimpleNamespace(add=add)))
    assert cli.main(["greet", "you"]) == 3 and capsys.readouterr().out == "hello you\n"
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "say hello" in capsys.readouterr().out
