"""A small vector canvas: shapes in unit coordinates, painted at any resolution.

Coordinates: y runs from 0 (top) to 1 (bottom) of the picture, x is measured in the same unit from the picture's
centre, so a picture that is wider than tall shows more to the left and right. Everything is painted several times
larger and reduced at the end, which gives smooth edges at 64 pixels as well as at 1024.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from lorasweep.toy.palette import INK, RGB, contrast, darker, lighter, luminance, mix

Point = tuple[float, float]

TUFT = 0.06
"""How far apart tufts of fur are: four pixels of 64."""

PATTERNS = ("plain", "striped", "dotted", "checkered", "fluffy", "metal")


def fur_tips(color: RGB) -> RGB:
    """Return the colour of fur's tips: clearly lighter than the fur, or darker where the fur is light itself."""
    return lighter(color, 0.5) if luminance(color) < 0.62 else darker(color, 0.3)


@dataclass(frozen=True)
class LabelledDrawing:
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

    def place(self, x: float, y: float, scale: float) -> None:
        """Paint from now on around (x, y), `scale` times as large."""
        self.x, self.y, self.scale = x, y, scale

    @contextmanager
    def zoomed(self, around: Point, factor: float) -> Iterator[None]:
        """Paint `factor` times as large within the `with` block; the point `around` stays where it is."""
        x, y, scale = self.x, self.y, self.scale
        self.x += around[0] * (1 - factor) * scale
        self.y += around[1] * (1 - factor) * scale
        self.scale *= factor
        try:
            yield
        finally:
            self.x, self.y, self.scale = x, y, scale

    def finish(self) -> Image.Image:
        """Return the picture at its final size, RGB."""
        return self.image.resize(self.size, Image.Resampling.BOX)

    def polygon(self, points: Sequence[Point], paint: Paint) -> None:
        """Paint the area within `points`."""
        if paint.pattern == "fluffy":
            self._fill([self._pixel(p) for p in self._tufts(points)], Paint(fur_tips(paint.color), outline=False))
            self._fill([self._pixel(p) for p in points], Paint(paint.color, outline=False))
            return
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
                middle = ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)
                turn = math.atan2(q[1] - p[1], q[0] - p[0])
                self.ellipse(*middle, math.dist(p, q) / 2 + half, half, paint, turn)
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
        x = (self.x + point[0] * self.scale) * self.height + self.width / 2
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
        unit = max(2.0, self._length(0.088))
        if paint.pattern == "striped":
            top = unit * 0.5
            while top < height:
                pen.rectangle((0, top, width, top + unit * 0.65), fill=other)
                top += unit * 1.35
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
            for column in range(int(width / unit) + 4):
                x, y = width / 2 + (column // 2 * (-1) ** column) * unit * 1.4, (row + 0.5) * unit * 1.4
                pen.ellipse((x - unit * 0.42, y - unit * 0.42, x + unit * 0.42, y + unit * 0.42), fill=color)

    def _tufts(self, points: Sequence[Point]) -> list[Point]:
        """Return a jagged outline around the area: tufts of fur along its edge, all pointing outwards."""
        cx = sum(p[0] for p in points) / len(points)
        cy = sum(p[1] for p in points) / len(points)
        around = sum(math.dist(p, q) for p, q in zip(points, [*points[1:], points[0]], strict=True))
        tufts = max(5, round(around / TUFT))
        ragged: list[Point] = []
        gone, due, number = 0.0, 0.0, 0
        for p, q in zip(points, [*points[1:], points[0]], strict=True):
            stretch = math.dist(p, q)
            while stretch and due < gone + stretch and number < 2 * tufts:
                share = (due - gone) / stretch
                x, y = p[0] + (q[0] - p[0]) * share, p[1] + (q[1] - p[1]) * share
                reach = math.hypot(x - cx, y - cy) or 1.0
                out = TUFT * (0.85 * self.draw.uniform(0.8, 1.2) if number % 2 else 0.15)
                ragged.append((x + (x - cx) / reach * out, y + (y - cy) / reach * out))
                number += 1
                due = around * number / (2 * tufts)
            gone += stretch
        return ragged
