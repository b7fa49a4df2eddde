"""Hair and hats."""

from __future__ import annotations

from lorasweep.toy.drawing import Canvas, Paint
from lorasweep.toy.figure import HEAD, RADIUS
from lorasweep.toy.palette import COLORS, darker, lighter

HAIR = ("bald", "short hair", "long hair", "spiky hair")
HAIR_COLORS = ("black", "brown", "yellow", "red", "white", "blue", "pink")
HEADGEAR = ("no hat", "wizard hat", "cap", "crown", "top hat", "beanie", "helmet", "headband")
HAT_COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black")

FIXED_COLORS = {"crown": "gold", "helmet": "silver"}
"""Hats that come in one colour only; the others come in `HAT_COLORS`."""


def paint_hair_behind(canvas: Canvas, hair: str, color: str) -> None:
    """Paint what hangs behind the head: long hair."""
    if hair == "long hair":
        x, y = HEAD
        tone = Paint(COLORS[color])
        canvas.ellipse(x, y - 0.02, RADIUS + 0.045, RADIUS + 0.035, tone)
        canvas.polygon([(x - 0.2, y), (x + 0.2, y), (x + 0.215, y + 0.26), (x - 0.215, y + 0.26)], tone)


def paint_hair(canvas: Canvas, hair: str, color: str) -> None:
    """Paint `hair` (of `HAIR`) on the head, in `color` (of `HAIR_COLORS`).

    Raises:
        ValueError: when the world has no such hair.
    """
    x, y = HEAD
    tone = Paint(COLORS[color])
    if hair in ("short hair", "long hair"):
        canvas.polygon([(x - 0.175, y + 0.0), (x - 0.165, y - 0.1), (x - 0.1, y - 0.175), (x, y - 0.195),
                        (x + 0.1, y - 0.175), (x + 0.165, y - 0.1), (x + 0.175, y + 0.0), (x + 0.12, y - 0.075),
                        (x, y - 0.095), (x - 0.12, y - 0.075)], tone)  # fmt: skip
    elif hair == "spiky hair":
        points = [(x - 0.17, y - 0.02)]
        for left, tip in ((-0.19, -0.16), (-0.12, -0.25), (-0.02, -0.28), (0.08, -0.27), (0.17, -0.18)):
            points += [(x + left, y + tip), (x + left + 0.06, y - 0.15)]
        points += [(x + 0.17, y - 0.02), (x + 0.09, y - 0.08), (x - 0.09, y - 0.08)]
        canvas.polygon(points, tone)
    elif hair != "bald":
        raise ValueError(f"no hair is called {hair!r}; there are {', '.join(HAIR)}")


def paint_headgear(canvas: Canvas, headgear: str, color: str, drop: float = 0.0) -> None:
    """Paint `headgear` (of `HEADGEAR`) in the palette's `color`, moved down by `drop`.

    Raises:
        ValueError: when the world has no such headgear.
    """
    x, y = HEAD[0], HEAD[1] + drop
    tone = Paint(COLORS[color])
    band = Paint(lighter(COLORS[color], 0.6) if color in ("black", "brown", "blue", "purple") else
                 darker(COLORS[color], 0.5), outline=False)  # fmt: skip
    if headgear == "wizard hat":
        canvas.polygon([(x - 0.13, y - 0.1), (x + 0.06, y - 0.33), (x + 0.13, y - 0.1)], tone)
        canvas.ellipse(x, y - 0.1, 0.24, 0.038, tone)
        canvas.box(x + 0.005, y - 0.15, 0.1, 0.018, band)
    elif headgear == "cap":
        canvas.polygon([(x - 0.168, y - 0.06), (x - 0.15, y - 0.14), (x - 0.08, y - 0.2), (x + 0.08, y - 0.2),
                        (x + 0.15, y - 0.14), (x + 0.168, y - 0.06)], tone)  # fmt: skip
        canvas.ellipse(x + 0.12, y - 0.065, 0.16, 0.03, Paint(darker(COLORS[color], 0.3)))
    elif headgear == "crown":
        canvas.polygon([(x - 0.15, y - 0.09), (x - 0.17, y - 0.25), (x - 0.08, y - 0.17), (x, y - 0.28),
                        (x + 0.08, y - 0.17), (x + 0.17, y - 0.25), (x + 0.15, y - 0.09)], tone)  # fmt: skip
        canvas.ellipse(x, y - 0.135, 0.028, 0.028, Paint((220, 40, 60), outline=False))
    elif headgear == "top hat":
        canvas.box(x, y - 0.2, 0.12, 0.1, tone)
        canvas.box(x, y - 0.135, 0.12, 0.022, band)
        canvas.ellipse(x, y - 0.1, 0.21, 0.032, tone)
    elif headgear == "beanie":
        canvas.polygon([(x - 0.17, y - 0.05), (x - 0.15, y - 0.15), (x - 0.07, y - 0.21), (x + 0.07, y - 0.21),
                        (x + 0.15, y - 0.15), (x + 0.17, y - 0.05)], tone)  # fmt: skip
        canvas.box(x, y - 0.07, 0.175, 0.026, Paint(band.color))
        canvas.ellipse(x, y - 0.235, 0.05, 0.045, Paint(band.color, "fluffy"))
    elif headgear == "helmet":
        steel = Paint(COLORS[color], "metal")
        canvas.polygon([(x - 0.19, y + 0.1), (x - 0.19, y - 0.08), (x - 0.12, y - 0.19), (x, y - 0.225),
                        (x + 0.12, y - 0.19), (x + 0.19, y - 0.08), (x + 0.19, y + 0.1), (x + 0.135, y + 0.1),
                        (x + 0.125, y - 0.075), (x - 0.125, y - 0.075), (x - 0.135, y + 0.1)], steel)  # fmt: skip
        canvas.limb([(x, y - 0.22), (x, y - 0.29)], 0.05, Paint((220, 40, 50)))
    elif headgear == "headband":
        canvas.limb([(x - 0.155, y - 0.085), (x + 0.155, y - 0.085)], 0.05, tone)
        canvas.limb([(x + 0.16, y - 0.08), (x + 0.235, y - 0.02)], 0.035, tone)
    elif headgear != "no hat":
        raise ValueError(f"no headgear is called {headgear!r}; there are {', '.join(HEADGEAR)}")
