"""Names in any bytes: what is shown, typed and written of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lorasweep.errors import UserError
from lorasweep.text.encoding import all_readable, json_text, readable
from lorasweep.text.shell import shell_quoted

CAFE = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    "name", ["plain", "with space", "it's", 'dataset.path="a b"', CAFE, f"{CAFE}a it's \\ $HOME", "é", "a\nb"]
)
def test_a_quoted_name_is_typed_as_what_it_is(name: str) -> None:
    typed = f"printf %s {shell_quoted(name)}"
    done = subprocess.run(["bash", "-c", typed.encode()], capture_output=True, check=True)
    assert os.fsdecode(done.stdout) == name


def test_what_is_no_unicode_is_shown_escaped() -> None:
    assert readable(CAFE) == "caf\\xe9" and readable("é") == "é" and readable("a\ud800") == "a\\ud800"
    assert all_readable({CAFE: [CAFE, 1, ("é",)]}) == {"caf\\xe9": ["caf\\xe9", 1, ["é"]]}


def test_json_holds_names_as_they_are() -> None:
    text = json_text({"path": CAFE, "other": "é"})
    assert text.encode() and json.loads(text) == {"path": CAFE, "other": "é"} and "é" in text


def test_a_refusal_can_be_printed_and_logged() -> None:
    assert UserError(f"{CAFE}: there is no such folder", ways={"try": CAFE}).render().encode()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_output_fails_for_its_letters(encoding: str) -> None:
    code = r"from lorasweep.text.encoding import escape_output; escape_output(); print('caf\udce9 \u2193')"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert done.stdout.split()[0] == rb"caf\udce9"
