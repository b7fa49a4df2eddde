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
    """Paint what hangs behind head and shoulders: long hair."""
    if hair == "long hair":
        x, y = HEAD
        tone = Paint(COLORS[color])
        canvas.ellipse(x, y - 0.02, RADIUS + 0.05, RADIUS + 0.035, tone)
        canvas.polygon([(x - 0.21, y - 0.02), (x + 0.21, y - 0.02), (x + 0.27, y + 0.32), (x - 0.27, y + 0.32)], tone)


def paint_hair(canvas: Canvas, hair: str, color: str) -> None:
    """Paint `hair` (of `HAIR`) on the head, in `color` (of `HAIR_COLORS`): each of another outline.

    Raises:
        ValueError: when the world has no such hair.
    """
    x, y = HEAD
    tone = Paint(COLORS[color])
    if hair == "short hair":
        canvas.polygon([(x - 0.2, y + 0.06), (x - 0.21, y - 0.1), (x - 0.13, y - 0.2), (x, y - 0.23),
                        (x + 0.13, y - 0.2), (x + 0.21, y - 0.1), (x + 0.2, y + 0.06), (x + 0.135, y + 0.02),
                        (x + 0.125, y - 0.085), (x - 0.125, y - 0.085), (x - 0.135, y + 0.02)], tone)  # fmt: skip
    elif hair == "long hair":
        canvas.polygon([(x - 0.19, y - 0.04), (x - 0.17, y - 0.12), (x - 0.1, y - 0.19), (x, y - 0.21),
                        (x + 0.1, y - 0.19), (x + 0.17, y - 0.12), (x + 0.19, y - 0.04), (x + 0.12, y - 0.075),
                        (x, y - 0.11), (x - 0.12, y - 0.075)], tone)  # fmt: skip
        for side in (-1, 1):  # a lock over each shoulder, which neither body nor hat covers
            canvas.polygon([(x + side * 0.14, y - 0.05), (x + side * 0.21, y - 0.05), (x + side * 0.25, y + 0.28),
                            (x + side * 0.12, y + 0.28)], tone)  # fmt: skip
    elif hair == "spiky hair":
        points = [(x - 0.17, y + 0.0)]
        for tip, base in (((-0.27, -0.12), (-0.15, -0.12)), ((-0.19, -0.26), (-0.07, -0.16)),
                          ((0.0, -0.29), (0.07, -0.16)), ((0.19, -0.26), (0.15, -0.12)),
                          ((0.27, -0.12), (0.17, 0.0))):  # fmt: skip
            points += [(x + tip[0], y + tip[1]), (x + base[0], y + base[1])]
        points += [(x + 0.1, y - 0.08), (x - 0.1, y - 0.08)]
        canvas.polygon(points, tone)
    elif hair != "bald":
        raise ValueError(f"no hair is called {hair!r}; there are {', '.join(HAIR)}")


def paint_headgear(canvas: Canvas, headgear: str, color: str) -> None:
    """Paint `headgear` (of `HEADGEAR`) in the palette's `color`.

    Raises:
        ValueError: when the world has no such headgear.
    """
    x, y = HEAD
    tone = Paint(COLORS[color])
    band = Paint(lighter(COLORS[color], 0.6) if color in ("black", "brown", "blue", "purple") else
                 darker(COLORS[color], 0.5), outline=False)  # fmt: skip
    if headgear == "wizard hat":
        canvas.polygon([(x - 0.14, y - 0.1), (x + 0.02, y - 0.295), (x + 0.14, y - 0.1)], tone)
        canvas.ellipse(x, y - 0.1, 0.27, 0.042, tone)
    elif headgear == "cap":
        canvas.polygon([(x - 0.175, y - 0.075), (x - 0.15, y - 0.17), (x - 0.08, y - 0.225), (x + 0.08, y - 0.225),
                        (x + 0.15, y - 0.17), (x + 0.175, y - 0.075)], tone)  # fmt: skip
        canvas.ellipse(x + 0.19, y - 0.085, 0.14, 0.038, Paint(darker(COLORS[color], 0.3)))
    elif headgear == "crown":
        canvas.polygon([(x - 0.16, y - 0.09), (x - 0.19, y - 0.27), (x - 0.085, y - 0.17), (x, y - 0.285),
                        (x + 0.085, y - 0.17), (x + 0.19, y - 0.27), (x + 0.16, y - 0.09)], tone)  # fmt: skip
        canvas.ellipse(x, y - 0.135, 0.034, 0.034, Paint((220, 40, 60), outline=False))
    elif headgear == "top hat":
        canvas.box(x, y - 0.2, 0.13, 0.09, tone)
        canvas.box(x, y - 0.14, 0.13, 0.026, band)
        canvas.ellipse(x, y - 0.1, 0.25, 0.036, tone)
    elif headgear == "beanie":
        canvas.polygon([(x - 0.17, y - 0.08), (x - 0.15, y - 0.17), (x - 0.07, y - 0.22), (x + 0.07, y - 0.22),
                        (x + 0.15, y - 0.17), (x + 0.17, y - 0.08)], tone)  # fmt: skip
        canvas.box(x, y - 0.09, 0.185, 0.036, Paint(band.color))
        canvas.ellipse(x, y - 0.235, 0.07, 0.06, Paint(band.color))
    elif headgear == "helmet":
        steel = Paint(COLORS[color], "metal")
        canvas.polygon([(x - 0.21, y + 0.13), (x - 0.21, y - 0.08), (x - 0.13, y - 0.19), (x, y - 0.225),
                        (x + 0.13, y - 0.19), (x + 0.21, y - 0.08), (x + 0.21, y + 0.13), (x + 0.145, y + 0.13),
                        (x + 0.13, y - 0.075), (x - 0.13, y - 0.075), (x - 0.145, y + 0.13)], steel)  # fmt: skip
        canvas.limb([(x, y - 0.17), (x, y - 0.26)], 0.075, Paint((220, 40, 50)))
    elif headgear == "headband":
        canvas.limb([(x - 0.155, y - 0.105), (x + 0.155, y - 0.105)], 0.062, tone)
        canvas.polygon([(x + 0.17, y - 0.105), (x + 0.32, y - 0.2), (x + 0.34, y - 0.1)], tone)
        canvas.polygon([(x + 0.17, y - 0.105), (x + 0.34, y - 0.06), (x + 0.29, y + 0.03)], tone)
        canvas.ellipse(x + 0.18, y - 0.105, 0.045, 0.045, tone)
    elif headgear != "no hat":
        raise ValueError(f"no headgear is called {headgear!r}; there are {', '.join(HEADGEAR)}")
