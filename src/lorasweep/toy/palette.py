"""The colours of the toy world, by name.

The names are what captions say and what the toy CLIP is asked about, so the colours are chosen far enough apart to be
told from each other at 64x64. Browns, greys, metals and pastels are all there: a theme's colour is never a colour
that the base has not seen.
"""

from __future__ import annotations

import random

RGB = tuple[int, int, int]
"""Red, green, blue, each in 0..255."""

COLORS: dict[str, RGB] = {
    "red": (220, 40, 40),
    "maroon": (120, 18, 34),
    "orange": (245, 130, 30),
    "yellow": (250, 218, 50),
    "lime": (165, 228, 50),
    "green": (45, 160, 60),
    "forest": (18, 82, 46),
    "teal": (20, 165, 160),
    "sky": (130, 200, 250),
    "blue": (40, 95, 225),
    "navy": (26, 34, 108),
    "purple": (125, 52, 190),
    "lavender": (196, 170, 242),
    "pink": (250, 140, 192),
    "brown": (128, 76, 40),
    "umber": (72, 42, 25),
    "tan": (212, 165, 114),
    "cream": (250, 234, 204),
    "white": (250, 250, 250),
    "grey": (135, 135, 138),
    "black": (32, 32, 36),
    "gold": (230, 176, 40),
    "silver": (178, 186, 198),
}
"""Every colour of the world. `gold` and `silver` are drawn with a metal's sheen."""

METALS = ("gold", "silver")

CHROMATIC = ("red", "orange", "yellow", "green", "teal", "sky", "blue", "purple", "pink")
"""Clear colours: hats, backgrounds and glows are drawn in these, with a few neutrals."""

INK: RGB = (24, 20, 28)
"""Outlines, pupils and mouths."""


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Return the colour that lies `share` (0..1) of the way from `a` to `b`."""
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_


def darker(color: RGB, share: float = 0.35) -> RGB:
    """Return `color` moved `share` (0..1) of the way to black."""
    return mix(color, (0, 0, 0), share)


def lighter(color: RGB, share: float = 0.35) -> RGB:
    """Return `color` moved `share` (0..1) of the way to white."""
    return mix(color, (255, 255, 255), share)


def luminance(color: RGB) -> float:
    """Return the perceived brightness of `color`, 0 (black) to 1 (white)."""
    return (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255


def contrast(color: RGB) -> RGB:
    """Return white for dark colours and a dark shade for light ones: the second colour of a pattern."""
    return (250, 250, 250) if luminance(color) < 0.62 else darker(color, 0.6)


def shade(name: str, draw: random.Random, spread: int = 9) -> RGB:
    """Return the colour called `name`, each channel moved at random by up to `spread`.

    Raises:
        KeyError: when the world has no such colour.
    """
    r, g, b = (min(255, max(0, channel + draw.randint(-spread, spread))) for channel in COLORS[name])
    return r, g, b
