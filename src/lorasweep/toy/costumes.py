"""How the five themes' characters are painted: heads and bodies that no humanoid of the base's world has."""

from __future__ import annotations

from lorasweep.toy.backgrounds import paint_background
from lorasweep.toy.drawing import Canvas, Paint
from lorasweep.toy.figure import (
    HEAD,
    HEAD_SIZE,
    POSES,
    RADIUS,
    Pose,
    holding_hand,
    paint_accessory,
    paint_body,
    paint_face,
)
from lorasweep.toy.palette import COLORS, INK, RGB, darker, lighter

HX, HY = HEAD

ANIMALS: dict[str, str] = {"cat": "orange", "fox": "orange", "rabbit": "white", "wolf": "grey", "panda": "white",
                           "lion": "gold", "mouse": "grey", "frog": "green"}  # fmt: skip
FOODS = ("burger", "donut", "banana", "tomato", "ice cream", "pizza")
ROBOTS = {"silver robot": "silver", "gold robot": "gold", "grey robot": "grey"}
WARRIORS = ("knight", "trooper", "monk", "smuggler")


def _stage(canvas: Canvas, attributes: dict[str, str]) -> Pose:
    """Paint the background, move the canvas to where the figure stands, and return its pose."""
    paint_background(canvas, attributes["background"])
    scale = canvas.draw.uniform(0.94, 1.0)
    canvas.place(canvas.draw.uniform(-0.03, 0.03), 0.98 - 0.96 * scale, scale)
    return POSES[attributes["pose"]]


def paint_animal(canvas: Canvas, attributes: dict[str, str]) -> None:
    """Paint an animal that walks upright in clothes: ears, snout and tail by `attributes["kind"]` of `ANIMALS`."""
    pose = _stage(canvas, attributes)
    kind = attributes["kind"]
    color = COLORS[ANIMALS[kind]]
    if kind == "fox":
        color = (226, 104, 34)
    fur = Paint(color)
    _tail(canvas, kind, fur)
    paint_body(canvas, pose, fur, Paint(COLORS[attributes["outfit"]], attributes["pattern"]), "outfit", "average")
    with canvas.zoomed(HEAD, HEAD_SIZE):
        if kind == "lion":
            canvas.ellipse(HX, HY, 0.225, 0.22, Paint((150, 84, 30), "fluffy"))
        _ears(canvas, kind, fur)
        canvas.ellipse(HX, HY, RADIUS + 0.01, RADIUS, fur)
        if kind == "panda":
            for side in (-1, 1):
                canvas.ellipse(HX + side * 0.07, HY - 0.02, 0.062, 0.07, Paint(INK, outline=False))
        _snout(canvas, kind, color)
        paint_face(canvas, attributes["expression"])
        _nose(canvas, kind)
    paint_accessory(canvas, attributes["accessory"], holding_hand(pose, "average"))


def _tail(canvas: Canvas, kind: str, fur: Paint) -> None:
    if kind in ("cat", "mouse", "lion"):
        canvas.limb([(0.1, 0.8), (0.32, 0.86), (0.38, 0.66)], 0.05, fur)
    elif kind in ("fox", "wolf"):
        canvas.ellipse(0.29, 0.78, 0.17, 0.08, Paint(fur.color, "fluffy"), -0.6)
        canvas.ellipse(0.39, 0.71, 0.06, 0.055, Paint((250, 250, 250), outline=False), -0.6)
    elif kind == "rabbit":
        canvas.ellipse(0.22, 0.8, 0.07, 0.07, Paint(fur.color, "fluffy"))


def _ears(canvas: Canvas, kind: str, fur: Paint) -> None:
    inner = Paint((250, 170, 180), outline=False)
    for side in (-1, 1):
        if kind in ("cat", "fox", "wolf"):
            canvas.polygon([(side * 0.05, HY - 0.14), (side * 0.15, HY - 0.28), (side * 0.17, HY - 0.06)], fur)
            canvas.polygon([(side * 0.09, HY - 0.14), (side * 0.14, HY - 0.23), (side * 0.15, HY - 0.1)], inner)
        elif kind == "rabbit":
            canvas.ellipse(side * 0.075, HY - 0.21, 0.045, 0.13, fur, side * 0.15)
            canvas.ellipse(side * 0.077, HY - 0.21, 0.022, 0.095, inner, side * 0.15)
        elif kind in ("panda", "mouse", "lion"):
            ear = Paint(INK) if kind == "panda" else fur
            size = 0.1 if kind == "mouse" else 0.06
            canvas.ellipse(side * 0.14, HY - 0.14, size, size, ear)
            if kind == "mouse":
                canvas.ellipse(side * 0.14, HY - 0.14, 0.06, 0.06, inner)
        elif kind == "frog":
            canvas.ellipse(side * 0.08, HY - 0.14, 0.065, 0.065, fur)


def _snout(canvas: Canvas, kind: str, color: RGB) -> None:
    """Paint the snout below the face, so that the mouth on it tells the mood as it does in the base's world."""
    if kind == "frog":
        canvas.ellipse(HX, HY + 0.08, 0.14, 0.075, Paint(lighter(color, 0.45), outline=False))
        return
    tone = (250, 250, 250) if kind in ("fox", "cat", "wolf") else lighter(color, 0.45)
    canvas.ellipse(HX, HY + 0.085, 0.12, 0.075, Paint(tone, outline=False))


def _nose(canvas: Canvas, kind: str) -> None:
    """Paint nose and whiskers above the face."""
    if kind == "frog":
        return
    nose = (250, 130, 150) if kind in ("cat", "rabbit", "mouse") else INK
    canvas.ellipse(HX, HY + 0.035, 0.036, 0.026, Paint(nose, outline=False))
    if kind in ("cat", "mouse", "rabbit"):
        for side in (-1, 1):
            for rise in (-0.02, 0.03):
                canvas.line([(side * 0.11, HY + 0.07), (side * 0.21, HY + 0.07 + rise)], 0.01, (250, 250, 250))


def paint_food(canvas: Canvas, attributes: dict[str, str]) -> None:
    """Paint a figure whose head is a dish, by `attributes["kind"]` of `FOODS`."""
    pose = _stage(canvas, attributes)
    skin = Paint((248, 214, 90) if attributes["kind"] == "banana" else (214, 160, 96))
    paint_body(canvas, pose, skin, Paint(COLORS[attributes["outfit"]], attributes["pattern"]), "outfit", "average")
    with canvas.zoomed(HEAD, HEAD_SIZE):
        _HEADS[attributes["kind"]](canvas)
        paint_face(canvas, attributes["expression"], drop=0.02 if attributes["kind"] != "ice cream" else 0.05)
    paint_accessory(canvas, attributes["accessory"], holding_hand(pose, "average"))


def _burger(canvas: Canvas) -> None:
    bun = Paint((214, 140, 60))
    canvas.ellipse(HX, HY + 0.11, 0.22, 0.07, bun)
    canvas.box(HX, HY + 0.08, 0.22, 0.03, Paint((104, 56, 30)))
    canvas.line([(-0.22, HY + 0.05), (0.22, HY + 0.05)], 0.045, (110, 200, 60))
    canvas.polygon([(-0.22, HY + 0.04), (-0.2, HY - 0.09), (-0.1, HY - 0.17), (0.1, HY - 0.17), (0.2, HY - 0.09),
                    (0.22, HY + 0.04)], bun)  # fmt: skip
    for x, y in ((-0.11, -0.1), (-0.03, -0.14), (0.06, -0.13), (0.13, -0.09)):
        canvas.ellipse(HX + x, HY + y, 0.016, 0.01, Paint((255, 244, 210), outline=False))


def _donut(canvas: Canvas) -> None:
    canvas.ellipse(HX, HY, 0.21, 0.2, Paint((222, 166, 96)))
    canvas.ellipse(HX, HY - 0.01, 0.185, 0.17, Paint((248, 130, 190), "fluffy", outline=False))
    for x, y, name in ((-0.13, -0.08, "blue"), (0.12, -0.09, "yellow"), (0.0, -0.14, "white"), (-0.14, 0.06, "lime"),
                       (0.14, 0.05, "red"), (-0.06, -0.1, "yellow"), (0.06, -0.11, "teal")):  # fmt: skip
        canvas.ellipse(HX + x, HY + y, 0.018, 0.018, Paint(COLORS[name], outline=False))
    canvas.ellipse(HX, HY + 0.105, 0.05, 0.05, Paint(darker((222, 166, 96), 0.5)))


def _banana(canvas: Canvas) -> None:
    canvas.polygon([(-0.1, HY + 0.16), (-0.15, HY + 0.0), (-0.13, HY - 0.12), (-0.03, HY - 0.24), (0.02, HY - 0.29),
                    (0.06, HY - 0.27), (0.07, HY - 0.2), (0.14, HY - 0.08), (0.15, HY + 0.06), (0.1, HY + 0.16)],
                   Paint((250, 220, 60)))  # fmt: skip
    canvas.limb([(0.03, HY - 0.26), (0.05, HY - 0.3)], 0.04, Paint((110, 80, 30)))
    canvas.line([(0.11, HY - 0.08), (0.12, HY + 0.08)], 0.016, (200, 160, 40))


def _tomato(canvas: Canvas) -> None:
    canvas.ellipse(HX, HY, 0.21, 0.17, Paint((226, 52, 40)))
    for tip in ((-0.12, -0.2), (-0.04, -0.25), (0.05, -0.24), (0.12, -0.19)):
        canvas.polygon([(-0.04, HY - 0.13), (tip[0], HY + tip[1]), (0.04, HY - 0.13)], Paint((60, 150, 50)))


def _ice_cream(canvas: Canvas) -> None:
    canvas.polygon([(-0.15, HY + 0.0), (0.15, HY + 0.0), (0.06, HY + 0.19), (-0.06, HY + 0.19)],
                   Paint((220, 168, 100), "checkered"))  # fmt: skip
    canvas.ellipse(-0.08, HY - 0.03, 0.11, 0.1, Paint((250, 150, 196)))
    canvas.ellipse(0.08, HY - 0.03, 0.11, 0.1, Paint((250, 240, 214)))
    canvas.ellipse(0, HY - 0.14, 0.11, 0.1, Paint((150, 232, 200)))
    canvas.ellipse(0.02, HY - 0.25, 0.035, 0.035, Paint((220, 30, 50)))


def _pizza(canvas: Canvas) -> None:
    canvas.polygon([(-0.23, HY - 0.14), (0.23, HY - 0.14), (0, HY + 0.2)], Paint((250, 206, 90)))
    canvas.limb([(-0.22, HY - 0.15), (0.22, HY - 0.15)], 0.06, Paint((196, 130, 62)))
    for x, y in ((-0.12, -0.08), (0.13, -0.09), (0.03, 0.13)):
        canvas.ellipse(HX + x, HY + y, 0.032, 0.03, Paint((206, 52, 40)))


_HEADS = dict(zip(FOODS, (_burger, _donut, _banana, _tomato, _ice_cream, _pizza), strict=True))


def paint_fuzzybear(canvas: Canvas, attributes: dict[str, str]) -> None:
    """Paint the fuzzy bear: brown fur all over, round ears, a light belly and snout, a scarf."""
    pose = _stage(canvas, attributes)
    fur, light = COLORS["brown"], (222, 178, 128)
    coat = Paint(fur, "fluffy")
    paint_body(canvas, pose, Paint(fur), coat, "outfit", "chubby")
    canvas.ellipse(0, 0.7, 0.11, 0.1, Paint(light, outline=False))
    with canvas.zoomed(HEAD, HEAD_SIZE):
        for side in (-1, 1):
            canvas.ellipse(side * 0.14, HY - 0.13, 0.085, 0.08, coat)
            canvas.ellipse(side * 0.14, HY - 0.125, 0.045, 0.042, Paint(light, outline=False))
        canvas.ellipse(HX, HY, 0.185, 0.165, coat)
        canvas.ellipse(HX, HY + 0.085, 0.12, 0.075, Paint(light, outline=False))
        paint_face(canvas, attributes["expression"])
        canvas.ellipse(HX, HY + 0.035, 0.04, 0.028, Paint(INK, outline=False))
    canvas.limb([(-0.18, 0.56), (0.18, 0.56)], 0.075, Paint(COLORS[attributes["outfit"]]))
    paint_accessory(canvas, attributes["accessory"], holding_hand(pose, "chubby"))


def paint_robot(canvas: Canvas, attributes: dict[str, str]) -> None:
    """Paint a boxy robot: metal all over, antenna, glowing visor, a panel with lamps."""
    pose = _stage(canvas, attributes)
    steel = Paint(COLORS[ROBOTS[attributes["kind"]]], "metal")
    lamp = COLORS[attributes["outfit"]]
    paint_body(canvas, pose, steel, steel, "armor", "average")
    canvas.box(0, 0.67, 0.18, 0.16, steel)
    canvas.box(0, 0.68, 0.125, 0.085, Paint((44, 48, 58)))
    for x, color in ((-0.075, (240, 60, 60)), (0.0, (250, 220, 70)), (0.075, (80, 230, 110))):
        canvas.ellipse(x, 0.68, 0.03, 0.03, Paint(color, outline=False))
    with canvas.zoomed(HEAD, HEAD_SIZE):
        canvas.limb([(0, HY - 0.13), (0, HY - 0.24)], 0.026, Paint((120, 124, 132)))
        canvas.glow([(0, HY - 0.25)], 0.05, (250, 70, 60))
        for side in (-1, 1):
            canvas.box(side * 0.2, HY, 0.03, 0.05, steel)
        canvas.box(HX, HY, 0.18, 0.14, steel)
        canvas.box(HX, HY - 0.03, 0.145, 0.05, Paint((24, 28, 40)))
        for side in (-1, 1):
            canvas.glow([(side * 0.06, HY - 0.03)], 0.04, lighter(lamp, 0.1))
        for x in (-0.06, -0.02, 0.02, 0.06):
            canvas.line([(x, HY + 0.06), (x, HY + 0.1)], 0.018, (44, 48, 58))
    paint_accessory(canvas, attributes["accessory"], holding_hand(pose, "average"))


def paint_warrior(canvas: Canvas, attributes: dict[str, str]) -> None:
    """Paint a warrior of the stars: helmet, hood or mask by `attributes["kind"]`, and a glowing blade."""
    pose = _stage(canvas, attributes)
    kind = attributes["kind"]
    cloth, garment, skin = {
        "knight": ((30, 30, 34), "robe", (34, 34, 38)),
        "trooper": ((244, 246, 250), "armor", (30, 30, 34)),
        "monk": ((138, 98, 62), "robe", (226, 180, 140)),
        "smuggler": ((196, 182, 150), "outfit", (190, 134, 92)),
    }[kind]
    if kind in ("knight", "monk"):
        canvas.polygon([(-0.14, 0.48), (0.14, 0.48), (0.34, 0.93), (-0.34, 0.93)], Paint(darker(cloth, 0.25)))
    paint_body(canvas, pose, Paint(skin), Paint(cloth), garment, "average")
    if kind == "smuggler":
        for side in (-1, 1):
            canvas.polygon([(side * 0.05, 0.5), (side * 0.15, 0.5), (side * 0.17, 0.82), (side * 0.09, 0.82)],
                           Paint((60, 48, 44)))  # fmt: skip
    with canvas.zoomed(HEAD, HEAD_SIZE):
        _warrior_head(canvas, kind, cloth, skin)
    x, y = holding_hand(pose, "average")
    canvas.limb([(x, y + 0.03), (x - 0.01, y - 0.05)], 0.05, Paint((150, 154, 164)))
    canvas.glow([(x - 0.015, y - 0.08), (x - 0.07, max(0.04, y - 0.45))], 0.045, COLORS[attributes["outfit"]])


def _warrior_head(canvas: Canvas, kind: str, cloth: RGB, skin: RGB) -> None:
    if kind == "knight":
        canvas.polygon([(-0.24, HY + 0.16), (-0.17, HY - 0.1), (-0.08, HY - 0.19), (0.08, HY - 0.19),
                        (0.17, HY - 0.1), (0.24, HY + 0.16)], Paint(cloth))  # fmt: skip
        for side in (-1, 1):
            canvas.ellipse(side * 0.07, HY - 0.02, 0.05, 0.038, Paint((110, 114, 126), outline=False))
        canvas.polygon([(0, HY + 0.02), (0.07, HY + 0.13), (-0.07, HY + 0.13)], Paint((128, 132, 142)))
    elif kind == "trooper":
        canvas.ellipse(HX, HY, 0.175, 0.18, Paint(cloth))
        canvas.box(HX, HY - 0.03, 0.14, 0.032, Paint(INK, outline=False))
        canvas.polygon([(-0.07, HY + 0.06), (0.07, HY + 0.06), (0.1, HY + 0.13), (-0.1, HY + 0.13)],
                       Paint((70, 74, 84)))  # fmt: skip
    elif kind == "monk":
        canvas.polygon([(-0.2, HY + 0.16), (-0.19, HY - 0.08), (-0.1, HY - 0.2), (0, HY - 0.23), (0.1, HY - 0.2),
                        (0.19, HY - 0.08), (0.2, HY + 0.16)], Paint(cloth))  # fmt: skip
        canvas.ellipse(HX, HY + 0.01, 0.13, 0.14, Paint(skin))
        paint_face(canvas, "sleepy", drop=0.01)
    else:
        canvas.ellipse(HX, HY, RADIUS, RADIUS, Paint(skin))
        paint_face(canvas, "smiling")
        canvas.polygon([(-0.17, HY - 0.04), (-0.14, HY - 0.14), (0, HY - 0.19), (0.14, HY - 0.14), (0.17, HY - 0.04),
                        (0, HY - 0.1)], Paint((84, 54, 34)))  # fmt: skip
