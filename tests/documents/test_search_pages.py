"""The commands of the pages about searching run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..warm import Warm
from .pages import SEARCH_PAGES, run_all


@pytest.mark.parametrize("page", SEARCH_PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, place: Path, warm: Warm) -> None:
    run_all(page, place, warm)
