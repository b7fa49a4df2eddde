"""What the documents do not have run is marked, and says why; what is wrong is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..warm import Warm
from .pages import MARKS, PAGES, blocks, check, run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_not_run_says_why(page: Path) -> None:
    for block in blocks(page):
        assert block.language in ("sh", "text", "python", "yaml"), (
            f"{page.name}: a block without a language\n{block.text}"
        )
        if block.language != "sh":
            assert not re.search(r"^(python|lorasweep) ", block.text, re.MULTILINE), (
                f"a command is not collected: {block}"
            )
        for mark in block.marks:
            said = re.search(MARKS[mark], block.before + block.text, re.IGNORECASE)
            assert said, f"{page.name} does not say {mark}:\n{block.text}"


def test_a_wrong_command_is_found(place: Path, warm: Warm) -> None:
    for wrong in ("python train.py lora=fuzzybear network.rnk=8", "lorasweep version", "make tset", "pip install x[y]"):
        with pytest.raises((AssertionError, SystemExit)):
            run(wrong.split(), place, warm)
    for wrong in ("python train.py lora=fuzzybear network.rank=0", "accelerate launch --mlti_gpu train.py"):
        with pytest.raises((AssertionError, SystemExit)):
            check(wrong.split(), place, warm)
