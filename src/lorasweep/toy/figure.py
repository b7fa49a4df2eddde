"""The body that every character of the toy world shares: pose, limbs, garment, head, face, things worn and held.

A figure stands around x = 0, its feet near y = 0.95 and the middle of its head at `HEAD`. Everything is big and bold,
as large as an attribute needs to be seen in 16x16 latents: at 64 pixels a head is 25 pixels wide, a grin 15.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.toy.drawing import Canvas, Paint, Point
from lorasweep.toy.palette import INK, darker, lighter

HEAD: Point = (0.0, 0.34)
RADIUS = 0.16
"""Middle and radius of the head; heads, with all that is on them, are painted `HEAD_SIZE` times as large."""

HEAD_SIZE = 1.22

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
    "standing": Pose(((-0.25, 0.65), (-0.26, 0.77)), ((0.25, 0.65), (0.26, 0.77))),
    "waving": Pose(((-0.25, 0.65), (-0.26, 0.77)), ((0.32, 0.58), (0.37, 0.32))),
    "arms up": Pose(((-0.32, 0.52), (-0.36, 0.25)), ((0.32, 0.52), (0.36, 0.25))),
    "hands on hips": Pose(((-0.36, 0.66), (-0.19, 0.76)), ((0.36, 0.66), (0.19, 0.76))),
    "arms spread": Pose(((-0.28, 0.58), (-0.43, 0.57)), ((0.28, 0.58), (0.43, 0.57))),
    "walking": Pose(((-0.28, 0.62), (-0.39, 0.69)), ((0.2, 0.68), (0.08, 0.72)), ((-0.23, 0.92), (0.23, 0.92))),
}
"""Every pose, in the words of the captions."""

LEAN = {"average": 1.0, "chubby": 1.55, "slim": 0.58}

TRUNK = 0.145
"""Half the width of an average trunk; `LEAN` times that for the other builds."""

NECK, WAIST = 0.5, 0.82


def paint_body(canvas: Canvas, pose: Pose, skin: Paint, outfit: Paint, garment: str, build: str) -> None:
    """Paint legs, trunk, arms and hands: `garment` (of `GARMENTS`) in `outfit`, bare parts in `skin`."""
    lean = LEAN[build]
    wide = TRUNK * lean
    cloth = Paint(outfit.color, "metal" if garment == "armor" else outfit.pattern)
    trousers = Paint(darker(outfit.color, 0.3))
    for side, foot in zip((-1, 1), pose.feet, strict=True):
        toe = foot[0] * (0.45 + 0.55 * lean)
        canvas.limb([(side * wide * 0.55, 0.76), (toe, foot[1] - 0.03)], 0.1, trousers)
        canvas.ellipse(toe + side * 0.012, foot[1], 0.075, 0.04, Paint((62, 52, 54)))
    sleeve = Paint(outfit.color, "fluffy" if outfit.pattern == "fluffy" else "plain")
    arms = []
    for side, (elbow, hand) in zip((-1, 1), (pose.left, pose.right), strict=True):
        shift = side * (wide - TRUNK) * 0.8
        arms.append(((side * wide * 0.9, 0.56), (elbow[0] + shift, elbow[1]), (hand[0] + shift, hand[1])))
    for shoulder, elbow, hand in arms:
        canvas.limb([elbow, hand], 0.075, sleeve if garment == "robe" else skin)
        canvas.limb([shoulder, elbow], 0.095, sleeve)
    if garment == "robe":
        hem = 0.07 + 0.2 * (0.35 + 0.65 * lean)
        canvas.polygon([(-wide * 0.8, NECK), (wide * 0.8, NECK), (hem, 0.93), (-hem, 0.93)], cloth)
        canvas.line([(-wide * 1.1, 0.72), (wide * 1.1, 0.72)], 0.045, darker(outfit.color, 0.6))
    else:
        canvas.polygon([(-wide, NECK), (wide, NECK), (wide * 1.12, 0.68), (wide, WAIST), (-wide, WAIST),
                        (-wide * 1.12, 0.68)], cloth)  # fmt: skip
    for shoulder, _, hand in arms:
        if garment == "armor":
            canvas.ellipse(shoulder[0] * 1.15, shoulder[1], 0.095, 0.075, cloth)
        canvas.ellipse(*hand, 0.058, 0.058, skin)


def holding_hand(pose: Pose, build: str) -> Point:
    """Return where the hand is that holds things."""
    x, y = pose.left[1]
    return x - TRUNK * 0.8 * (LEAN[build] - 1), y


def paint_head(canvas: Canvas, skin: Paint) -> None:
    """Paint a round head with small ears."""
    x, y = HEAD
    for side in (-1, 1):
        canvas.ellipse(x + side * RADIUS, y + 0.01, 0.035, 0.045, skin)
    canvas.ellipse(x, y, RADIUS, RADIUS, skin)


def paint_face(canvas: Canvas, expression: str, dark: bool = False, drop: float = 0.0) -> None:
    """Paint eyes, brows and mouth for `expression` (of `EXPRESSIONS`), moved down by `drop`.

    The expressions differ in large shapes of the mouth too, which no sunglasses hide: a white grin, a red round, a
    dark arch, a bubble of sleep. `dark` draws lines in a light colour, for heads too dark for ink.
    """
    x, y = HEAD[0], HEAD[1] + drop
    ink = (250, 240, 235) if dark else INK
    white = Paint((255, 255, 255))
    for side in (-1, 1):
        ex, ey = x + side * 0.07, y - 0.012
        if expression == "sleepy":
            canvas.line([(ex - 0.05, ey), (ex, ey + 0.025), (ex + 0.05, ey)], 0.028, ink)
            continue
        tall = 0.066 if expression == "surprised" else 0.05
        canvas.ellipse(ex, ey, 0.05, tall, white)
        canvas.ellipse(ex - side * 0.006, ey + 0.006, 0.026, 0.03, Paint(INK, outline=False))
        if expression == "angry":
            outer, inner = ex + side * 0.065, ex - side * 0.055
            canvas.polygon([(outer, ey - 0.09), (inner, ey - 0.03), (inner, ey + 0.005), (outer, ey - 0.04)],
                           Paint(INK, outline=dark))  # fmt: skip
    my = y + 0.1
    if expression == "smiling":
        canvas.polygon([(x - 0.1, my - 0.03), (x + 0.1, my - 0.03), (x + 0.06, my + 0.035), (x, my + 0.047),
                        (x - 0.06, my + 0.035)], white)  # fmt: skip
    elif expression == "surprised":
        canvas.ellipse(x, my + 0.008, 0.05, 0.05, Paint((190, 24, 40)))
    elif expression == "angry":
        canvas.line([(x - 0.08, my + 0.035), (x - 0.035, my - 0.005), (x + 0.035, my - 0.005), (x + 0.08, my + 0.035)],
                    0.036, ink)  # fmt: skip
    elif expression == "sleepy":
        canvas.ellipse(x + 0.065, my, 0.06, 0.058, Paint((170, 225, 255)))
        canvas.ellipse(x + 0.05, my - 0.02, 0.018, 0.018, Paint((255, 255, 255), outline=False))
    else:
        raise ValueError(f"no expression is called {expression!r}; there are {', '.join(EXPRESSIONS)}")


def paint_accessory(canvas: Canvas, accessory: str, hand: Point) -> None:
    """Paint what is held (one of `ACCESSORIES`) at `hand`, or so near it that it stays within the picture."""
    x, y = max(hand[0], -0.37), hand[1]
    if accessory == "sword":
        y = max(y, 0.43)
        canvas.polygon([(x - 0.035, y), (x - 0.1, y - 0.34), (x - 0.07, y - 0.41), (x - 0.03, y - 0.36), (x + 0.03, y)],
                       Paint((208, 216, 228)))  # fmt: skip
        canvas.line([(x - 0.09, y - 0.01), (x + 0.075, y - 0.04)], 0.045, (120, 74, 30))
    elif accessory == "balloon":
        # A raised hand holds it on a short string, so that it stays within the picture.
        bx, by = max(-0.37, x - 0.07), max(0.16, y - 0.36)
        canvas.line([(x, y), (bx, by + 0.1)], 0.016, (240, 240, 240))
        canvas.ellipse(bx, by, 0.115, 0.13, Paint((232, 44, 60)))
        canvas.ellipse(bx - 0.04, by - 0.05, 0.028, 0.036, Paint((255, 200, 200), outline=False))
    elif accessory == "shield":
        x = max(x, -0.32)
        canvas.ellipse(x - 0.03, y, 0.135, 0.15, Paint((52, 92, 190)))
        canvas.ellipse(x - 0.03, y, 0.065, 0.07, Paint((250, 210, 60)))
    elif accessory == "staff":
        y = max(y, 0.4)
        canvas.line([(x, min(0.96, y + 0.25)), (x - 0.03, y - 0.25)], 0.042, (104, 64, 34))
        canvas.glow([(x - 0.03, y - 0.28)], 0.1, (70, 240, 120))
    elif accessory == "flower":
        x, y = max(x, -0.33), max(y, 0.36)
        canvas.line([(x, y), (x - 0.04, y - 0.14)], 0.034, (40, 140, 50))
        for dx, dy in ((0, -0.08), (0.078, -0.024), (0.048, 0.066), (-0.048, 0.066), (-0.078, -0.024)):
            canvas.ellipse(x - 0.05 + dx, y - 0.2 + dy, 0.055, 0.055, Paint((250, 120, 190), outline=False))
        canvas.ellipse(x - 0.05, y - 0.2, 0.046, 0.046, Paint((252, 220, 60), outline=False))
    elif accessory == "lantern":
        canvas.line([(x, y - 0.02), (x - 0.02, y + 0.03)], 0.03, (70, 60, 60))
        canvas.box(x - 0.03, y + 0.12, 0.085, 0.1, Paint((58, 50, 52), outline=False))
        canvas.glow([(x - 0.03, y + 0.105), (x - 0.03, y + 0.135)], 0.058, (255, 190, 50))
    elif accessory != "nothing":
        raise ValueError(f"no accessory is called {accessory!r}; there are {', '.join(ACCESSORIES)}")


def paint_cape(canvas: Canvas, build: str) -> None:
    """Paint a purple cape behind the body."""
    lean = LEAN[build]
    canvas.polygon([(-0.12 * lean, 0.48), (0.12 * lean, 0.48), (0.25 + 0.12 * lean, 0.93), (-0.25 - 0.12 * lean, 0.93)],
                   Paint((112, 36, 150)))  # fmt: skip


def paint_sunglasses(canvas: Canvas) -> None:
    """Paint sunglasses over the eyes."""
    x, y = HEAD
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.075, y - 0.012, 0.07, 0.054, Paint((18, 18, 22), outline=False))
        canvas.ellipse(x + side * 0.075 - 0.025, y - 0.03, 0.018, 0.012, Paint((230, 230, 240), outline=False))
    canvas.line([(x - 0.15, y - 0.03), (x + 0.15, y - 0.03)], 0.024, (18, 18, 22))


def paint_scarf(canvas: Canvas, build: str) -> None:
    """Paint a red scarf around the neck, one end hanging down."""
    reach = 0.08 + 0.08 * LEAN[build]
    canvas.limb([(-reach, 0.545), (reach, 0.545)], 0.08, Paint((222, 46, 48)))
    canvas.limb([(reach * 0.6, 0.56), (reach * 0.7, 0.72)], 0.08, Paint((222, 46, 48)))
    canvas.line([(reach * 0.67, 0.7), (reach * 0.69, 0.725)], 0.07, lighter((222, 46, 48), 0.7))
