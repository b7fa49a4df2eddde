"""Versions to vote on."""

from __future__ import annotations

from pathlib import Path

import pytest

from .made_versions import version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of three versions; the third was sampled with other settings, so that it meets nobody but the base."""
    root = tmp_path / "outputs"
    version(root, 1, study="bears", ratio=0.9)
    version(root, 2, study="bears", ratio=0.7)
    version(root, 3, steps=30)
    return root
