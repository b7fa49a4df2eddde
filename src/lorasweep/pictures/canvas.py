"""Colours, fonts and the few drawing steps that the sample pictures share."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PAPER = "#ffffff"
INK = "#1f2430"
FAINT = "#6b7280"
LINE = "#d8dce3"
EMPTY = "#f1f3f6"
ACCENT = "#0f766e"

Font = ImageFont.FreeTypeFont
Box = tuple[int, int, int, int]


@cache
def font(size: int, bold: bool = False) -> Font:
    """Return DejaVu Sans, which ships with matplotlib, at `size` pixels."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def line_height(face: Font) -> int:
    """Return the distance of two baselines in pixels."""
    ascent, descent = face.getmetrics()
    return round((ascent + descent) * 1.15)


def wrap(text: str, face: Font, width: int, lines: int) -> list[str]:
    """Break `text` into at most `lines` lines of at most `width` pixels; what is left over becomes `…`.

    Lines break at spaces; a word that is wider than a line is broken within.
    """
    done: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if face.getlength(longer) <= width:
            line = longer
            continue
        if line:
            done.append(line)
        while face.getlength(word) > width and len(word) > 1:
            fits = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or face.getlength(word[:n]) <= width)
            done.append(word[:fits])
            word = word[fits:]
        line = word
    if line:
        done.append(line)
    return done if len(done) <= lines else [*done[: lines - 1], shorten(" ".join(done[lines - 1 :]), face, width)]


def shorten(text: str, face: Font, width: int) -> str:
    """Return `text`, cut and ended by `…` if it is wider than `width` pixels."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def write_lines(
    draw: ImageDraw.ImageDraw, lines: list[str], at: tuple[float, float], face: Font, fill: str, anchor: str = "la"
) -> None:
    """Write `lines` below each other; `at` is where PIL's `anchor` of the first line lies."""
    for index, line in enumerate(lines):
        draw.text((at[0], at[1] + index * line_height(face)), line, font=face, fill=fill, anchor=anchor)


def read_image(path: Path | None) -> Image.Image | None:
    """Return the picture as RGB, or None where there is none or it cannot be read (a killed run's last sample)."""
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError:
        return None


def paste(canvas: Image.Image, path: Path | None, box: Box) -> None:
    """Draw a picture as large as `box` (left, top, right, bottom) allows, in its middle; an empty tile for none."""
    left, top, right, bottom = box
    image = read_image(path)
    if image is None:
        draw = ImageDraw.Draw(canvas)
        draw.rectangle((left, top, right - 1, bottom - 1), fill=EMPTY)
        draw.text(((left + right) / 2, (top + bottom) / 2), "–", font=font(20), fill=FAINT, anchor="mm")
        return
    scale = min((right - left) / image.width, (bottom - top) / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(image, ((left + right - size[0]) // 2, (top + bottom - size[1]) // 2))
