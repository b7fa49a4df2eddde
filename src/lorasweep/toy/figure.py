"""The body that every character of the toy world shares: pose, limbs, garment, head, face, things worn and held.

A figure stands around x = 0, its feet near y = 0.95 and the middle of its head at `HEAD`. Everything is big and bold:
at 64 pixels a head is 20 pixels wide.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.toy.drawing import Canvas, Paint, Point
from lorasweep.toy.palette import INK, darker, lighter

HEAD: Point = (0.0, 0.3)
RADIUS = 0.16
"""Middle and radius of the head."""

EXPRESSIONS = ("smiling", "surprised", "angry", "sleepy")
GARMENTS = ("outfit", "robe", "armor")
BUILDS = ("average", "chubby", "slim")
ACCESSORIES = ("nothing", "sword", "balloon", "shield", "staff", "flower", "lantern")
WEAR = ("nothing", "sunglasses", "scarf", "cape")


@dataclass(frozen=True)
class Pose:
    """Where the joints are: each arm (elbow, hand) and each foot, the held things being in the left one."""

    left: tuple[Point, Point]
    right: tuple[Point, Point]
    feet: tuple[Point, Point] = ((-0.075, 0.93), (0.075, 0.93))


POSES: dict[str, Pose] = {
    "standing": Pose(((-0.2, 0.6), (-0.2, 0.73)), ((0.2, 0.6), (0.2, 0.73))),
    "waving": Pose(((-0.2, 0.6), (-0.2, 0.73)), ((0.25, 0.53), (0.31, 0.33))),
    "arms up": Pose(((-0.26, 0.47), (-0.29, 0.25)), ((0.26, 0.47), (0.29, 0.25))),
    "hands on hips": Pose(((-0.29, 0.59), (-0.15, 0.7)), ((0.29, 0.59), (0.15, 0.7))),
    "arms spread": Pose(((-0.24, 0.53), (-0.38, 0.52)), ((0.24, 0.53), (0.38, 0.52))),
    "walking": Pose(((-0.22, 0.58), (-0.31, 0.66)), ((0.16, 0.62), (0.08, 0.68)), ((-0.19, 0.91), (0.19, 0.91))),
}
"""Every pose, in the words of the captions."""

LEAN = {"average": 1.0, "chubby": 1.45, "slim": 0.66}


def paint_body(canvas: Canvas, pose: Pose, skin: Paint, outfit: Paint, garment: str, build: str) -> None:
    """Paint legs, trunk, arms and hands: `garment` (of `GARMENTS`) in `outfit`, bare parts in `skin`."""
    lean = LEAN[build]
    cloth = Paint(outfit.color, "metal" if garment == "armor" else outfit.pattern)
    trousers = Paint(darker(outfit.color, 0.3), "fluffy" if outfit.pattern == "fluffy" else "plain")
    for side, foot in zip((-1, 1), pose.feet, strict=True):
        hip = (side * 0.06 * lean, 0.72)
        canvas.limb([hip, (foot[0] * (0.5 + lean / 2), foot[1] - 0.03)], 0.085, trousers)
        canvas.ellipse(foot[0] * (0.5 + lean / 2) + side * 0.012, foot[1], 0.06, 0.032, Paint((62, 52, 54)))
    wide = 0.105 * lean
    if garment == "robe":
        hem = 0.2 * (0.4 + 0.6 * lean)
        canvas.polygon([(-wide * 0.8, 0.44), (wide * 0.8, 0.44), (hem, 0.9), (-hem, 0.9)], cloth)
    else:
        canvas.polygon([(-wide, 0.46), (wide, 0.46), (wide * 1.12, 0.6), (wide, 0.77), (-wide, 0.77),
                        (-wide * 1.12, 0.6)], cloth)  # fmt: skip
    if garment == "robe":
        canvas.line([(-wide * 1.15, 0.66), (wide * 1.15, 0.66)], 0.034, darker(outfit.color, 0.6))
    for side, (elbow, hand) in zip((-1, 1), (pose.left, pose.right), strict=True):
        shift = side * (wide - 0.105)
        shoulder = (side * wide * 0.92, 0.5)
        elbow, hand = (elbow[0] + shift, elbow[1]), (hand[0] + shift, hand[1])
        sleeve = Paint(outfit.color, "fluffy" if outfit.pattern == "fluffy" else "plain")
        canvas.limb([elbow, hand], 0.06, sleeve if garment == "robe" else skin)
        canvas.limb([shoulder, elbow], 0.085, sleeve)
        if garment == "armor":
            canvas.ellipse(shoulder[0], shoulder[1], 0.07, 0.06, cloth)
        canvas.ellipse(*hand, 0.048, 0.048, skin)


def held_at(pose: Pose, build: str) -> Point:
    """Return where the hand is that holds things."""
    x, y = pose.left[1]
    return x - 0.105 * (LEAN[build] - 1), y


def paint_head(canvas: Canvas, skin: Paint) -> None:
    """Paint a round head with small ears."""
    x, y = HEAD
    for side in (-1, 1):
        canvas.ellipse(x + side * RADIUS, y + 0.01, 0.035, 0.045, skin)
    canvas.ellipse(x, y, RADIUS, RADIUS, skin)


def paint_face(canvas: Canvas, expression: str, dark: bool = False, drop: float = 0.0) -> None:
    """Paint eyes, brows and mouth for `expression` (of `EXPRESSIONS`), moved down by `drop`.

    `dark` draws the mouth in a light colour, for heads too dark for ink.
    """
    x, y = HEAD[0], HEAD[1] + drop
    ink = (250, 240, 235) if dark else INK
    white = Paint((255, 255, 255), outline=False)
    for side in (-1, 1):
        ex, ey = x + side * 0.066, y - 0.018
        if expression == "sleepy":
            canvas.line([(ex - 0.04, ey), (ex, ey + 0.02), (ex + 0.04, ey)], 0.02, ink)
            continue
        tall = 0.056 if expression == "surprised" else 0.046
        canvas.ellipse(ex, ey, 0.042, tall, white)
        canvas.ellipse(ex + side * -0.006, ey + 0.006, 0.022, 0.026, Paint(INK, outline=False))
        if expression == "angry":
            canvas.line([(ex + side * 0.052, ey - 0.066), (ex - side * 0.04, ey - 0.026)], 0.028, ink)
    my = y + 0.085
    if expression == "smiling":
        canvas.polygon([(x - 0.07, my - 0.012), (x + 0.07, my - 0.012), (x + 0.045, my + 0.036),
                        (x - 0.045, my + 0.036)], Paint((255, 255, 255) if not dark else (255, 240, 235)))  # fmt: skip
    elif expression == "surprised":
        canvas.ellipse(x, my + 0.008, 0.03, 0.038, Paint((150, 30, 40)))
    elif expression == "angry":
        canvas.line([(x - 0.055, my + 0.026), (x, my), (x + 0.055, my + 0.026)], 0.022, ink)
    elif expression == "sleepy":
        canvas.line([(x - 0.03, my + 0.005), (x + 0.03, my + 0.005)], 0.02, ink)
    else:
        raise ValueError(f"no expression is called {expression!r}; there are {', '.join(EXPRESSIONS)}")


def paint_accessory(canvas: Canvas, accessory: str, hand: Point) -> None:
    """Paint what is held (one of `ACCESSORIES`) at `hand`."""
    x, y = hand
    if accessory == "sword":
        canvas.limb([(x, y), (x - 0.06, y - 0.34)], 0.035, Paint((208, 216, 228)))
        canvas.line([(x - 0.07, y - 0.02), (x + 0.055, y - 0.045)], 0.03, (120, 74, 30))
    elif accessory == "balloon":
        # A raised hand holds it on a short string, so that it stays within the picture.
        bx, by = x - 0.05, max(0.16, y - 0.33)
        canvas.line([(x, y), (bx, by + 0.1)], 0.012, (240, 240, 240))
        canvas.ellipse(bx, by, 0.09, 0.11, Paint((232, 44, 60)))
        canvas.ellipse(bx - 0.03, by - 0.04, 0.022, 0.03, Paint((255, 200, 200), outline=False))
    elif accessory == "shield":
        canvas.ellipse(x, y, 0.115, 0.13, Paint((52, 92, 190)))
        canvas.ellipse(x, y, 0.05, 0.056, Paint((250, 210, 60)))
    elif accessory == "staff":
        canvas.line([(x, min(0.96, y + 0.25)), (x - 0.02, y - 0.25)], 0.03, (104, 64, 34))
        canvas.glow([(x - 0.02, y - 0.28)], 0.075, (70, 240, 120))
    elif accessory == "flower":
        canvas.line([(x, y), (x - 0.03, y - 0.14)], 0.024, (40, 140, 50))
        for dx, dy in ((0, -0.06), (0.058, -0.018), (0.036, 0.05), (-0.036, 0.05), (-0.058, -0.018)):
            canvas.ellipse(x - 0.03 + dx, y - 0.19 + dy, 0.042, 0.042, Paint((250, 120, 190), outline=False))
        canvas.ellipse(x - 0.03, y - 0.19, 0.034, 0.034, Paint((252, 220, 60), outline=False))
    elif accessory == "lantern":
        canvas.glow([(x, y + 0.1), (x, y + 0.12)], 0.1, (255, 190, 50))
        canvas.line([(x - 0.055, y + 0.03), (x + 0.055, y + 0.03)], 0.025, (70, 60, 60))
        canvas.line([(x - 0.055, y + 0.19), (x + 0.055, y + 0.19)], 0.025, (70, 60, 60))
    elif accessory != "nothing":
        raise ValueError(f"no accessory is called {accessory!r}; there are {', '.join(ACCESSORIES)}")


def paint_cape(canvas: Canvas, build: str) -> None:
    """Paint a purple cape behind the body."""
    lean = LEAN[build]
    canvas.polygon([(-0.1 * lean, 0.44), (0.1 * lean, 0.44), (0.16 + 0.12 * lean, 0.9), (-0.16 - 0.12 * lean, 0.9)],
                   Paint((112, 36, 150)))  # fmt: skip


def paint_wear(canvas: Canvas, wear: str, build: str) -> None:
    """Paint what is worn in front (sunglasses, scarf); the cape is `paint_cape`'s."""
    x, y = HEAD
    if wear == "sunglasses":
        for side in (-1, 1):
            canvas.ellipse(x + side * 0.072, y - 0.014, 0.062, 0.048, Paint((18, 18, 22), outline=False))
            canvas.ellipse(x + side * 0.072 - 0.02, y - 0.03, 0.014, 0.01, Paint((230, 230, 240), outline=False))
        canvas.line([(x - 0.15, y - 0.03), (x + 0.15, y - 0.03)], 0.02, (18, 18, 22))
    elif wear == "scarf":
        reach = 0.09 * LEAN[build] + 0.02
        canvas.limb([(-reach, 0.475), (reach, 0.475)], 0.065, Paint((222, 46, 48)))
        canvas.limb([(reach * 0.6, 0.48), (reach * 0.75, 0.62)], 0.055, Paint((222, 46, 48)))
        canvas.line([(reach * 0.72, 0.6), (reach * 0.74, 0.615)], 0.05, lighter((222, 46, 48), 0.7))
    elif wear not in ("nothing", "cape"):
        raise ValueError(f"nothing to wear is called {wear!r}; there are {', '.join(WEAR)}")
