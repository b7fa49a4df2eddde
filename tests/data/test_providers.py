"""Sets of images that make themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from PIL import Image

from lorasweep.data.providers import provider, with_images
from lorasweep.errors import UserError
from lorasweep.schema import Config
from lorasweep.schema.dataset import THEMES


class Squares:
    """A theme of a user's own: one grey square per number."""

    images = 3

    def draw(self, count=None, *, size=(64, 64), start=0):
        numbers = range(start, start + (self.images if count is None else count))
        return [SimpleNamespace(image=Image.new("L", size, number), caption=f"square {number}") for number in numbers]


def test_a_theme_of_ones_own_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_themes")
    module.SQUARES = Squares()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_themes", module)
    entry = SimpleNamespace(value="my_themes:SQUARES")
    monkeypatch.setattr(THEMES, "_installed", lambda: {"squares": entry})
    assert "squares" in THEMES
    config = Config()
    config.output_root = str(tmp_path)
    config.dataset.theme, config.dataset.resolution = "squares", 16
    dataset = with_images(config).dataset
    assert dataset.path is not None and dataset.validation_path is not None
    captions = [path.read_text().strip() for path in sorted(Path(dataset.path).glob("*.txt"))]
    assert captions == ["square 0", "square 1", "square 2"]
    heldout = sorted(Path(dataset.validation_path).glob("*.txt"))
    assert heldout[0].read_text().strip() == "square 3"
    assert Image.open(heldout[0].with_suffix(".png")).size == (16, 16)
    before = {path: path.stat().st_mtime_ns for path in Path(dataset.path).iterdir()}
    with_images(config)
    assert before == {path: path.stat().st_mtime_ns for path in Path(dataset.path).iterdir()}  # not drawn again
    config.dataset.folds = 2
    assert with_images(config).dataset.validation_path is None  # a part of the set is held out instead


def test_an_unknown_theme_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match="did you mean robots"):
        provider("robot")
