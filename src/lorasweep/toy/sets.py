"""The drawn training sets by name: the five themes, and the one for a full fine-tune.

The fine-tune's set is the base's world in another look, as the real one was SDXL's world in a game's: humanoids as
the base knows them, captioned as the base knows them, but drawn like a comic. There is no trigger: the whole model
takes the look on.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from lorasweep.toy.drawing import LabelledDrawing
from lorasweep.toy.humanoids import draw_humanoid
from lorasweep.toy.themes import THEMES, draw_theme

FINE = 256
"""Comics are drawn with at least about this many pixels a side, or their lines would cover the faces."""

FIRST = 2_000_000
"""Number of its first humanoid: none of the base's own training set."""


@dataclass(frozen=True)
class ThemeSet:
    """The drawings of a theme; a `lorasweep.data.providers.Provider`.

    Args:
        name: the theme's.
    """

    name: str

    @property
    def images(self) -> int:
        """How many drawings its training set has."""
        return THEMES[self.name].images

    def draw(
        self, count: int | None = None, *, size: tuple[int, int] = (64, 64), start: int = 0
    ) -> list[LabelledDrawing]:
        """Draw part of the set; see `draw_theme`."""
        return draw_theme(self.name, count, size=size, start=start)


class HumanoidSet:
    """The set of a full fine-tune; a `lorasweep.data.providers.Provider`.

    Attributes:
        images: how many drawings it has, as many as the real one had.
    """

    images = 1486

    def draw(
        self, count: int | None = None, *, size: tuple[int, int] = (64, 64), start: int = 0
    ) -> list[LabelledDrawing]:
        """Draw part of the set.

        Args:
            count: how many; None gives the whole set.
            size: (width, height) in pixels, each at least 8.
            start: number of the first; those from `images` on are held out.
        """
        count = self.images if count is None else count
        return [_styled(FIRST + index, size) for index in range(start, start + count)]


ANIMAL, FOOD, FUZZYBEAR, ROBOTS, STARWARS = map(ThemeSet, ("animal", "food", "fuzzybear", "robots", "starwars"))
HUMANOID = HumanoidSet()


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


def _styled(number: int, size: tuple[int, int]) -> LabelledDrawing:
    finer = max(1, round(FINE / min(size)))
    drawing = draw_humanoid(number, size=(finer * size[0], finer * size[1]))
    image = comic(drawing.image).resize(size, Image.Resampling.BOX)
    return LabelledDrawing(image, drawing.caption, drawing.attributes)
