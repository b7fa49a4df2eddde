"""What stands behind the characters: plain colours and nine scenes."""

from __future__ import annotations

import math

from lorasweep.toy.drawing import Canvas, Paint
from lorasweep.toy.palette import COLORS, RGB, lighter, mix, shade

SCENES = ("grass field", "night sky", "city", "checkerboard", "sunset", "snow", "desert", "forest", "sea")

PLAIN = ("red", "orange", "yellow", "green", "teal", "sky", "blue", "navy", "purple", "pink",
         "brown", "tan", "cream", "white", "grey", "black")  # fmt: skip

BACKGROUNDS = tuple(f"{color} background" for color in PLAIN) + SCENES
"""Every background, in the words of the captions."""


def paint_background(canvas: Canvas, background: str) -> None:
    """Fill `canvas` with `background`, one of `BACKGROUNDS`.

    Raises:
        ValueError: when the world has no such background.
    """
    canvas.place(0.0, 0.0, 1.0)
    if background.endswith(" background") and background.split()[0] in COLORS:
        color = shade(background.split()[0], canvas.draw, 12)
        # Half of them get a soft gradient, so that "plain" is not one exact number per channel.
        end = mix(color, (128, 128, 128), canvas.draw.choice((0.0, 0.25)))
        _gradient(canvas, color, end)
        return
    painter = _PAINTERS.get(background)
    if painter is None:
        raise ValueError(f"no background is called {background!r}; there are {', '.join(BACKGROUNDS)}")
    painter(canvas)


def _gradient(canvas: Canvas, top: RGB, bottom: RGB, until: float = 1.0) -> None:
    rows = round(canvas.height * until)
    for row in range(rows):
        canvas.pen.line((0, row, canvas.width, row), fill=mix(top, bottom, row / max(1, rows - 1)))


def _ground(canvas: Canvas, horizon: float, color: RGB) -> None:
    canvas.pen.rectangle((0, horizon * canvas.height, canvas.width, canvas.height), fill=color)


def _grass(canvas: Canvas) -> None:
    _gradient(canvas, (120, 190, 250), (205, 232, 250), 0.7)
    _ground(canvas, 0.66, (88, 178, 62))
    x = -canvas.right
    while x < canvas.right:
        height = canvas.draw.uniform(0.03, 0.07)
        canvas.polygon([(x, 0.67), (x + 0.02, 0.66 - height), (x + 0.04, 0.67)], Paint((88, 178, 62), outline=False))
        x += 0.045


def _night(canvas: Canvas) -> None:
    _gradient(canvas, (10, 12, 44), (38, 32, 92))
    for _ in range(round(22 * canvas.right * 2)):
        x, y = canvas.draw.uniform(-canvas.right, canvas.right), canvas.draw.uniform(0, 1)
        r = canvas.draw.uniform(0.006, 0.013)
        canvas.ellipse(x, y, r, r, Paint((255, 250, 210), outline=False))
    moon = (canvas.right - 0.14) * canvas.draw.choice((-1, 1))
    canvas.ellipse(moon, 0.13, 0.075, 0.075, Paint((250, 244, 200), outline=False))


def _city(canvas: Canvas) -> None:
    _gradient(canvas, (165, 190, 215), (226, 220, 210))
    x = -canvas.right
    while x < canvas.right:
        width, top = canvas.draw.uniform(0.13, 0.2), canvas.draw.uniform(0.15, 0.5)
        tone = canvas.draw.choice(((92, 98, 116), (118, 108, 112), (74, 84, 108)))
        canvas.polygon([(x, top), (x + width, top), (x + width, 1), (x, 1)], Paint(tone, outline=False))
        y = top + 0.05
        while y < 0.85:
            for wx in (x + width * 0.3, x + width * 0.7):
                canvas.box(wx, y, width * 0.12, 0.02, Paint((250, 226, 130), outline=False))
            y += 0.09
        x += width
    _ground(canvas, 0.88, (70, 70, 76))


def _checkerboard(canvas: Canvas) -> None:
    _gradient(canvas, (235, 235, 238), (235, 235, 238))
    unit = 0.125
    for row in range(8):
        for column in range(-math.ceil(canvas.right / unit), math.ceil(canvas.right / unit)):
            if (row + column) % 2:
                x, y = column * unit, row * unit
                canvas.polygon([(x, y), (x + unit, y), (x + unit, y + unit), (x, y + unit)],
                               Paint((150, 152, 160), outline=False))  # fmt: skip


def _sunset(canvas: Canvas) -> None:
    _gradient(canvas, (96, 48, 140), (252, 150, 66), 0.72)
    canvas.ellipse(canvas.draw.uniform(-0.25, 0.25), 0.68, 0.2, 0.2, Paint((255, 226, 110), outline=False))
    _ground(canvas, 0.72, (92, 40, 70))


def _snow(canvas: Canvas) -> None:
    _gradient(canvas, (150, 176, 206), (205, 220, 236), 0.72)
    _ground(canvas, 0.7, (246, 250, 255))
    for _ in range(round(26 * canvas.right * 2)):
        x, y = canvas.draw.uniform(-canvas.right, canvas.right), canvas.draw.uniform(0, 0.75)
        canvas.ellipse(x, y, 0.014, 0.014, Paint((255, 255, 255), outline=False))


def _desert(canvas: Canvas) -> None:
    _gradient(canvas, (250, 205, 130), (255, 232, 180), 0.75)
    _ground(canvas, 0.72, (216, 160, 84))
    for x in (-canvas.right * 0.9, canvas.right * 0.7):
        canvas.ellipse(x, 0.76, 0.42, 0.16, Paint((226, 174, 98), outline=False))
    side = canvas.draw.choice((-1, 1)) * (canvas.right - 0.1)
    for way in ([(side, 0.78), (side, 0.45)], [(side - 0.07, 0.5), (side - 0.07, 0.6), (side, 0.62)]):
        canvas.line(way, 0.055, (46, 130, 70))


def _forest(canvas: Canvas) -> None:
    _gradient(canvas, (150, 196, 170), (96, 150, 110))
    _ground(canvas, 0.85, (70, 84, 44))
    x = -canvas.right + canvas.draw.uniform(0, 0.1)
    while x < canvas.right + 0.1:
        top = canvas.draw.uniform(0.05, 0.3)
        canvas.box(x, 0.8, 0.02, 0.12, Paint((84, 54, 34), outline=False))
        tone = canvas.draw.choice(((28, 96, 52), (38, 116, 62), (20, 80, 48)))
        canvas.polygon([(x - 0.13, 0.78), (x, top), (x + 0.13, 0.78)], Paint(tone, outline=False))
        x += 0.19


def _sea(canvas: Canvas) -> None:
    _gradient(canvas, (190, 230, 250), (225, 244, 252), 0.5)
    _ground(canvas, 0.5, (36, 126, 196))
    for y in (0.58, 0.68, 0.78, 0.88, 0.97):
        start = -canvas.right + canvas.draw.uniform(-0.1, 0.0)
        steps = int(canvas.right * 2 / 0.05) + 4
        wave = [(start + 0.05 * i, y + 0.014 * (-1) ** i) for i in range(steps)]
        canvas.line(wave, 0.014, lighter((36, 126, 196), 0.55))


_PAINTERS = dict(zip(SCENES, (_grass, _night, _city, _checkerboard, _sunset, _snow, _desert, _forest, _sea),
                     strict=True))  # fmt: skip
