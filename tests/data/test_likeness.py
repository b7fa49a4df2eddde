"""Near-duplicates are found, and different pictures of one character are not taken for them."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from skimage import data

from lorasweep.data.likeness import likeness, look_alike
from lorasweep.data.providers import write_set
from lorasweep.toy.themes import THEMES


def saved_again(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=50)
    return Image.open(stream).convert("RGB")


CHANGES = {
    "saved again": saved_again,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "cropped by 1 %": lambda image: ImageOps.crop(image, round(0.01 * image.width)),
    "mirrored": ImageOps.mirror,
    "mirrored and saved again": lambda image: saved_again(ImageOps.mirror(image)),
}
PHOTOGRAPHS = ("astronaut", "rocket", "chelsea", "coffee")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    folder: Path = tmp_path_factory.mktemp("theme")
    write_set("robots", folder / "robots", size=(256, 256), start=0, count=THEMES["robots"].images)
    return [Image.open(path).convert("RGB") for path in sorted((folder / "robots").glob("*.png"))]


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    return [Image.fromarray(np.asarray(getattr(data, name)())[..., :3]) for name in PHOTOGRAPHS]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_looks_alike(change, drawings, photographs):
    missed = [
        index
        for index, image in enumerate([*drawings, *photographs])
        if not look_alike(likeness(image), likeness(CHANGES[change](image)))
    ]
    assert not missed


def test_different_pictures_do_not(drawings, photographs):
    seen = [likeness(image) for image in [*drawings, *photographs]]
    assert not [pair for pair in combinations(range(len(seen)), 2) if look_alike(seen[pair[0]], seen[pair[1]])]


def test_plain_pictures_are_told_apart_by_their_colour():
    red, dark, blue = (likeness(Image.new("RGB", (32, 32), colour)) for colour in ("#ff0000", "#e00000", "#0000ff"))
    assert look_alike(red, dark)
    assert not look_alike(red, blue)
