"""Drawn pictures are drawn once, and a longer set serves for a shorter one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lorasweep.toy.pictures import draw_cached


def test_pictures_are_drawn_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def draw(index: int) -> Image.Image:
        calls.append(index)
        return Image.new("RGB", (8, 8), (index, 0, 0))

    longer = draw_cached(tmp_path, "red", 5, draw)
    assert longer.shape == (5, 8, 8, 3) and longer[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(draw_cached(tmp_path, "red", 3, draw), longer[:3])
    assert calls == [0, 1, 2, 3, 4]
    assert len(draw_cached(tmp_path, "red", 6, draw)) == 6  # too short a set is drawn anew
    assert len(calls) == 11
