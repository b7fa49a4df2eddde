"""The drawn training sets by name: the five themes, and the one for a full fine-tune.

The fine-tune's set is the base's world in another look, as the real one was SDXL's world in a game's: humanoids as
the base knows them, captioned as the base knows them, but drawn like a comic. There is no trigger: the whole model
takes the look on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from lorasweep.schema.dataset import HUMANOID
from lorasweep.toy.drawing import Drawing
from lorasweep.toy.humanoids import draw_humanoid
from lorasweep.toy.themes import THEMES, draw_theme, write_drawings

IMAGES = 1486
"""Size of the fine-tune's set, as the real one had."""

FINE = 256
"""Comics are drawn with at least about this many pixels a side, or their lines would cover the faces."""

FIRST = 2_000_000
"""Number of its first humanoid: none of the base's own training set."""


def images_of(name: str) -> int:
    """Return how many images the training set `name` has."""
    return IMAGES if name == HUMANOID else THEMES[name].images


def draw_set(name: str, count: int | None = None, *, size: tuple[int, int] = (64, 64), start: int = 0) -> list[Drawing]:
    """Draw a set.

    Args:
        name: a theme's name, or "humanoid". count: how many; None gives the whole training set.
        size: (width, height) in pixels, each at least 8. start: number of the first; those from `images_of(name)` on
            are held out.

    Raises:
        KeyError: there is no such set.
    """
    count = images_of(name) if count is None else count
    if name != HUMANOID:
        return draw_theme(name, count, size=size, start=start)
    return [_styled(FIRST + index, size) for index in range(start, start + count)]


def write_set(
    name: str,
    folder: Path,
    *,
    size: tuple[int, int],
    count: int,
    start: int = 0,
    progress: Callable[[Sequence[int], str], Iterable[int]] = lambda numbers, description: numbers,
) -> Path:
    """Draw a set into a folder of images and captions and return the folder; `progress` wraps the numbers drawn."""
    folder = Path(folder)
    for number in progress(range(count), f"drawing {name}"):
        write_drawings(draw_set(name, 1, size=size, start=start + number), folder, first=number + 1)
    return folder


def comic(image: Image.Image) -> Image.Image:
    """Return a picture as a comic has it: strong flat colours, and dark lines where they meet.

    Args:
        image: with sides of `FINE` pixels or more.
    """
    strong = ImageEnhance.Color(image.filter(ImageFilter.MedianFilter(5))).enhance(1.7)
    flat = ImageOps.posterize(strong, 3)
    edges = ImageChops.subtract(strong.filter(ImageFilter.MaxFilter(3)), strong.filter(ImageFilter.MinFilter(3)))
    lines = edges.convert("L").point(lambda value: 20 if value > 50 else 255).filter(ImageFilter.MinFilter(3))
    return ImageChops.multiply(flat, lines.convert("RGB"))


def _styled(number: int, size: tuple[int, int]) -> Drawing:
    finer = max(1, round(FINE / min(size)))
    drawing = draw_humanoid(number, size=(finer * size[0], finer * size[1]))
    image = comic(drawing.image).resize(size, Image.Resampling.BOX)
    return Drawing(image, drawing.caption, drawing.attributes)
