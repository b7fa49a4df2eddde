"""What tests of versions that go on share."""

from __future__ import annotations

from typing import Any

import pytest

from lorasweep.console.lines import echo
from lorasweep.training.start import beginning, opening, setup


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that are printed while a version is set up and opened."""
    lines: list[str] = []

    def remember(line: Any = "", **options: Any) -> None:
        lines.append(str(line))
        echo(line, **options)

    for module in (setup, opening, beginning):
        monkeypatch.setattr(module, "echo", remember)
    return lines
