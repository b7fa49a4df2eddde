"""A small vector canvas: shapes in unit coordinates, painted at any resolution.

Coordinates: y runs from 0 (top) to 1 (bottom) of the picture, x is measured in the same unit from the picture's
centre, so a picture that is wider than tall shows more to the left and right. Everything is painted several times
larger and reduced at the end, which gives smooth edges at 64 pixels as well as at 1024.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from lorasweep.toy.palette import INK, RGB, contrast, darker, lighter, mix

Point = tuple[float, float]

PATTERNS = ("plain", "striped", "dotted", "checkered", "fluffy", "metal")


@dataclass(frozen=True)
class Drawing:
    """A finished drawing: the picture (PIL, RGB), its caption, and what it shows by attribute name."""

    image: Image.Image
    caption: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Paint:
    """A colour with a pattern (one of `PATTERNS`); `outline` False leaves the dark edge away."""

    color: RGB
    pattern: str = "plain"
    outline: bool = True


class Canvas:
    """A picture being painted. `place` moves and scales all that is painted after it.

    Args:
        size: (width, height) of the finished picture in pixels, each at least 8.
        draw: decides the details that nobody asked for (tufts of fur).
    """

    def __init__(self, size: tuple[int, int], draw: random.Random) -> None:
        if min(size) < 8:
            raise ValueError(f"a drawing needs at least 8x8 pixels, not {size[0]}x{size[1]}")
        self.size = size
        self.factor = 4 if max(size) <= 160 else 2
        self.width, self.height = size[0] * self.factor, size[1] * self.factor
        self.image = Image.new("RGB", (self.width, self.height))
        self.pen = ImageDraw.Draw(self.image)
        self.draw = draw
        self.right = size[0] / size[1] / 2
        self.place(0.0, 0.0, 1.0)

    def place(self, x: float, y: float, scale: float, lean: float = 1.0) -> None:
        """Paint from now on around (x, y), `scale` times as large and `lean` times as wide."""
        self.x, self.y, self.scale, self.lean = x, y, scale, lean

    def finish(self) -> Image.Image:
        """Return the picture at its final size, RGB."""
        return self.image.resize(self.size, Image.Resampling.BOX)

    def polygon(self, points: Sequence[Point], paint: Paint) -> None:
        """Paint the area within `points`."""
        if paint.pattern == "fluffy":
            points = self._tufts(points)
        self._fill([self._pixel(p) for p in points], paint)

    def ellipse(self, x: float, y: float, rx: float, ry: float, paint: Paint, turn: float = 0.0) -> None:
        """Paint an ellipse around (x, y) with radii rx and ry, turned by `turn` radians."""
        sin, cos = math.sin(turn), math.cos(turn)
        outline = []
        for step in range(40):
            angle = math.tau * step / 40
            dx, dy = rx * math.cos(angle), ry * math.sin(angle)
            outline.append((x + dx * cos - dy * sin, y + dx * sin + dy * cos))
        self.polygon(outline, paint)

    def box(self, x: float, y: float, rx: float, ry: float, paint: Paint) -> None:
        """Paint a rectangle around (x, y) that reaches rx to the sides and ry up and down."""
        self.polygon([(x - rx, y - ry), (x + rx, y - ry), (x + rx, y + ry), (x - rx, y + ry)], paint)

    def limb(self, points: Sequence[Point], width: float, paint: Paint) -> None:
        """Paint a thick line with round ends through `points`."""
        half = width / 2
        if paint.outline:
            edge = darker(paint.color, 0.6)
            for p, q in pairwise(points):
                self._stroke(p, q, half + 0.011, edge)
        if paint.pattern == "fluffy":
            for p, q in pairwise(points):
                for share in (0.0, 0.33, 0.67, 1.0):
                    spot = (p[0] + (q[0] - p[0]) * share, p[1] + (q[1] - p[1]) * share)
                    self.ellipse(*spot, half, half, Paint(paint.color, "fluffy", outline=False))
            return
        for p, q in pairwise(points):
            self._stroke(p, q, half, paint.color)
            if paint.pattern == "metal":
                self._stroke(p, q, half * 0.4, lighter(paint.color, 0.6))

    def line(self, points: Sequence[Point], width: float, color: RGB = INK) -> None:
        """Paint a plain line without outline."""
        self.limb(points, width, Paint(color, outline=False))

    def glow(self, points: Sequence[Point], width: float, color: RGB) -> None:
        """Paint a shining line (or, with one point, a shining ball): white inside, fading outwards."""
        way = list(points) if len(points) > 1 else [points[0], points[0]]
        halo = Image.new("L", self.image.size)
        pen = ImageDraw.Draw(halo)
        for step in range(5):
            reach = self._length(width * (1.5 - 0.2 * step))
            level = (45, 90, 140, 200, 255)[step]
            pixels = [self._pixel(p) for p in way]
            pen.line(pixels, fill=level, width=max(1, round(2 * reach)))
            for px, py in (pixels[0], pixels[-1]):
                pen.ellipse((px - reach, py - reach, px + reach, py + reach), fill=level)
        self.image.paste(color, (0, 0), halo)
        self.line(way, width * 0.7, mix(color, (255, 255, 255), 0.8))

    def _length(self, length: float) -> float:
        return length * self.scale * self.height

    def _pixel(self, point: Point) -> tuple[float, float]:
        x = (self.x + point[0] * self.scale * self.lean) * self.height + self.width / 2
        return x, (self.y + point[1] * self.scale) * self.height

    def _stroke(self, p: Point, q: Point, half: float, color: RGB) -> None:
        reach = self._length(half)
        ends = [self._pixel(p), self._pixel(q)]
        self.pen.line(ends, fill=color, width=max(1, round(2 * reach)))
        for x, y in ends:
            self.pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=color)

    def _fill(self, pixels: list[tuple[float, float]], paint: Paint) -> None:
        if paint.pattern in ("plain", "fluffy"):
            self.pen.polygon(pixels, fill=paint.color)
        else:
            mask = Image.new("L", self.image.size)
            ImageDraw.Draw(mask).polygon(pixels, fill=255)
            box = mask.getbbox()
            if box:
                self.image.paste(self._texture(box, paint), box[:2], mask.crop(box))
        if paint.outline:
            edge = darker(paint.color, 0.6)
            self.pen.line([*pixels, pixels[0]], fill=edge, width=max(1, round(self._length(0.016))), joint="curve")

    def _texture(self, box: tuple[int, int, int, int], paint: Paint) -> Image.Image:
        width, height = box[2] - box[0], box[3] - box[1]
        tile = Image.new("RGB", (width, height), paint.color)
        pen = ImageDraw.Draw(tile)
        other = contrast(paint.color)
        unit = max(2.0, self._length(0.075))
        if paint.pattern == "striped":
            top = unit * 0.5
            while top < height:
                pen.rectangle((0, top, width, top + unit * 0.5), fill=other)
                top += unit * 1.1
        elif paint.pattern == "dotted":
            self._dots(pen, width, height, unit, other)
        elif paint.pattern == "checkered":
            for row in range(int(height / unit) + 1):
                for column in range(int(width / unit) + 1):
                    if (row + column) % 2:
                        corner = (column * unit, row * unit)
                        pen.rectangle((*corner, corner[0] + unit, corner[1] + unit), fill=other)
        elif paint.pattern == "metal":
            for x in range(width):
                sheen = math.sin(math.pi * (x + 0.5) / width * 2 - 0.6)
                tone = lighter(paint.color, sheen * 0.75) if sheen > 0 else darker(paint.color, -sheen * 0.45)
                pen.line((x, 0, x, height), fill=tone)
        else:
            raise ValueError(f"no pattern is called {paint.pattern!r}; there are {', '.join(PATTERNS)}")
        return tile

    @staticmethod
    def _dots(pen: ImageDraw.ImageDraw, width: int, height: int, unit: float, color: RGB) -> None:
        for row in range(int(height / unit) + 2):
            for column in range(int(width / unit) + 2):
                x = (column + 0.5 * (row % 2)) * unit * 1.25
                y = (row + 0.4) * unit
                pen.ellipse((x - unit * 0.3, y - unit * 0.3, x + unit * 0.3, y + unit * 0.3), fill=color)

    def _tufts(self, points: Sequence[Point]) -> list[Point]:
        """Return a ragged outline: the same area with a tuft of fur on every stretch of its edge."""
        cx = sum(p[0] for p in points) / len(points)
        cy = sum(p[1] for p in points) / len(points)
        ragged: list[Point] = []
        for p, q in zip(points, [*points[1:], points[0]], strict=True):
            pieces = max(1, round(math.dist(p, q) / 0.03))
            for piece in range(pieces):
                x = p[0] + (q[0] - p[0]) * piece / pieces
                y = p[1] + (q[1] - p[1]) * piece / pieces
                reach = math.hypot(x - cx, y - cy) or 1.0
                out = 0.022 * (1 if len(ragged) % 2 else -0.5) * self.draw.uniform(0.7, 1.3)
                ragged.append((x + (x - cx) / reach * out, y + (y - cy) / reach * out))
        return ragged
