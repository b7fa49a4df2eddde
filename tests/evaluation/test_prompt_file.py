"""Prompts from files, plain and as sd-scripts writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasweep.errors import UserError
from lorasweep.evaluation.cell_keys import Request
from lorasweep.evaluation.prompt_file import read_prompts
from lorasweep.pictures.prompts import Prompt

COMMON = Request(Prompt("", 0, False), "blurry", 64, 64, 30, 5.0)


def test_plain_lines_and_options_of_sd_scripts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text(
        "# a comment\n\n{trigger}, waving\n"
        "a bear -- in snow, 1-2 --n low quality, bad --w 96 --h 32 --d 7 --l 2.5 --s 12 --ss euler_a\n"
        "[trigger] --D 3 --n \n",
        encoding="utf-8",
    )
    lines, notes = read_prompts(path)
    assert notes == [f"{path}: --ss has no effect here (the sampler, which is the base's own)"]
    plain, full, third = ([*line.requests(COMMON, [1, 2], "sks")] for line in lines)
    assert plain == [Request(Prompt("sks, waving", seed, True), "blurry", 64, 64, 30, 5.0) for seed in (1, 2)]
    assert full == [Request(Prompt("a bear -- in snow, 1-2", 7, False), "low quality, bad", 96, 32, 12, 2.5)]
    assert third == [Request(Prompt("sks", 3, True), "", 64, 64, 30, 5.0)]


def test_everything_that_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("fine\na --w 30 --s 0 --l x\n--d 1\nb --q 3\n")
    with pytest.raises(UserError) as caught:
        read_prompts(path)
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "--w 30: expected a multiple of 8 pixels, such as 24",
        "--s 0: expected a whole number of at least 1",
        "--l x: expected a number of at least 1",
        "there is no prompt before the first option",
        "--q is no option of a prompt; expected --n, --w, --h, --d, --l, --s",
    ]
    assert all(f"{path}, line {n}" in str(caught.value) for n in (2, 3, 4))
    for content, reason in ((b"\n# none\n", "holds no prompt"), (b"caf\xe9", "no text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=reason):
            read_prompts(path)
    with pytest.raises(UserError, match="No such file"):
        read_prompts(tmp_path / "none.txt")
