"""The commands of the pages that no other test of this folder runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..warm import Warm
from .pages import OTHER_PAGES, run_all


@pytest.mark.parametrize("page", OTHER_PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, place: Path, warm: Warm) -> None:
    run_all(page, place, warm)
