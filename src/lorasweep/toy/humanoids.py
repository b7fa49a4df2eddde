"""The base's world: humanoids, each a function of (seed, index).

Indices below 24,000 are the training set of the shipped base; those from `FIRST_HELDOUT` on are never trained on. No
theme (`lorasweep.toy.themes`) is among them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lorasweep.randomness import random_for
from lorasweep.toy.attributes import caption_of
from lorasweep.toy.backgrounds import PLAIN, SCENES, paint_background
from lorasweep.toy.drawing import Canvas, LabelledDrawing, Paint
from lorasweep.toy.figure import (
    ACCESSORIES,
    BUILDS,
    EXPRESSIONS,
    GARMENTS,
    HEAD,
    HEAD_SIZE,
    POSES,
    WEAR,
    holding_hand,
    paint_accessory,
    paint_body,
    paint_cape,
    paint_face,
    paint_head,
    paint_scarf,
    paint_sunglasses,
)
from lorasweep.toy.headgear import (
    FIXED_COLORS,
    HAIR,
    HAIR_COLORS,
    HAT_COLORS,
    HEADGEAR,
    paint_hair,
    paint_hair_behind,
    paint_headgear,
)
from lorasweep.toy.palette import COLORS, METALS, luminance, shade

FIRST_HELDOUT = 1_000_000
"""Where the held-out humanoids begin."""


@dataclass(frozen=True)
class Humanoid:
    """What one drawing shows; every field is a choice of `attributes.CHOICES` or a colour."""

    skin: str
    outfit: str
    pattern: str
    garment: str
    build: str
    headgear: str
    hat_color: str
    hair: str
    hair_color: str
    pose: str
    expression: str
    accessory: str
    wear: str
    background: str


def humanoid(index: int, seed: int = 0) -> Humanoid:
    """Return the attributes of the humanoid with this number."""
    draw = random_for(seed, "humanoid", index)
    garment = draw.choices(GARMENTS, (5, 2, 2))[0]
    # Armor is metal: its colour may be any, its pattern is its own.
    pattern = "plain" if garment == "armor" else draw.choices(PATTERN_CHOICES, (3, 2, 2, 2, 2))[0]
    headgear = draw.choice(HEADGEAR) if draw.random() < 0.75 else "no hat"
    # A hat hides most hair: only long hair still shows beneath one.
    hair = draw.choice(HAIR) if headgear in ("no hat", "headband") else draw.choice(("bald", "bald", "long hair"))
    wear = draw.choices(WEAR, (4, 2, 2, 2))[0]
    background = draw.choice(PLAIN) + " background" if draw.random() < 0.5 else draw.choice(SCENES)
    return Humanoid(
        skin=draw.choice(tuple(COLORS)),
        outfit=draw.choice(tuple(COLORS)),
        pattern=pattern,
        garment=garment,
        build=draw.choices(BUILDS, (2, 1, 1))[0],
        headgear=headgear,
        hat_color=FIXED_COLORS.get(headgear) or draw.choice(HAT_COLORS),
        hair=hair,
        hair_color=draw.choice(HAIR_COLORS),
        pose=draw.choice(tuple(POSES)),
        expression=draw.choice(EXPRESSIONS),
        accessory=draw.choice(ACCESSORIES) if draw.random() < 0.75 else "nothing",
        wear=wear,
        background=background,
    )


PATTERN_CHOICES = ("plain", "striped", "dotted", "checkered", "fluffy")


def paint_humanoid(canvas: Canvas, who: Humanoid) -> None:
    """Paint `who` over the canvas's whole area, background first."""
    draw = canvas.draw
    paint_background(canvas, who.background)
    scale = draw.uniform(0.94, 1.0)
    reach = max(0.0, canvas.right - 0.42)
    canvas.place(draw.uniform(-reach, reach) * 0.5 + draw.uniform(-0.03, 0.03), 0.98 - 0.96 * scale, scale)
    skin = Paint(shade(who.skin, draw), "metal" if who.skin in METALS else "plain")
    pattern = "metal" if who.outfit in METALS and who.pattern == "plain" else who.pattern
    outfit = Paint(shade(who.outfit, draw), pattern)
    pose = POSES[who.pose]
    if who.wear == "cape":
        paint_cape(canvas, who.build)
    with canvas.zoomed(HEAD, HEAD_SIZE):
        paint_hair_behind(canvas, who.hair, who.hair_color)
    paint_body(canvas, pose, skin, outfit, who.garment, who.build)
    if who.wear == "scarf":
        paint_scarf(canvas, who.build)
    with canvas.zoomed(HEAD, HEAD_SIZE):
        paint_head(canvas, skin)
        paint_face(canvas, who.expression, dark=luminance(skin.color) < 0.3)
        if who.wear == "sunglasses":
            paint_sunglasses(canvas)
        paint_hair(canvas, who.hair, who.hair_color)
        paint_headgear(canvas, who.headgear, who.hat_color)
    paint_accessory(canvas, who.accessory, holding_hand(pose, who.build))


def draw_humanoid(index: int, *, size: tuple[int, int] = (64, 64), seed: int = 0) -> LabelledDrawing:
    """Draw the humanoid with this number.

    Args:
        index: 0 or more; see `FIRST_HELDOUT`.
        size: (width, height) in pixels, each at least 8; a wide picture shows more to the sides.
        seed: another seed is another world of the same kind.
    """
    who = humanoid(index, seed)
    canvas = Canvas(size, random_for(seed, "humanoid-details", index))
    paint_humanoid(canvas, who)
    return LabelledDrawing(
        canvas.finish(), caption_of(asdict(who), random_for(seed, "humanoid-caption", index)), asdict(who)
    )


def draw_humanoids(count: int, *, start: int = 0) -> list[LabelledDrawing]:
    """Draw `count` humanoids from number `start` on."""
    return [draw_humanoid(index) for index in range(start, start + count)]
