"""The builder's command line: what it cannot do is said before anything is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasweep.toy.build import parse_arguments


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--steps", "100"], "--steps needs --only"),
        (["--only", "clip", "--steps", "0"], "a number above 0"),
        (["--only", "unet"], "--only unet needs a finished VAE, and there is no "),
        (["--only", "decoder"], "--only decoder needs a finished VAE, and there is no "),
        (["--start", "nowhere"], "--start nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_built(
    line: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parse_arguments([*line, "--out", str(tmp_path)])
    assert left.value.code == 2 and expected in capsys.readouterr().err


def test_a_part_that_needs_no_vae(tmp_path: Path) -> None:
    assert parse_arguments(["--only", "clip", "--out", str(tmp_path)]).only == "clip"
