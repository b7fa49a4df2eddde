"""Colours, fonts and the few drawing steps that the sample pictures share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lorasweep import files

PAPER = "#ffffff"
INK = "#1f2430"
FAINT = "#6b7280"
LINE = "#d8dce3"
EMPTY = "#f1f3f6"
ACCENT = "#0f766e"
NO_PICTURE = 160  # pixels of the square that stands where there is none

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

    Lines break at spaces; a word that is wider than a line is broken behind its underscores, hyphens, dots and
    slashes, and between letters only where a part without any of these is wider still.
    """
    done: list[str] = []
    line = ""
    for piece, joint in _pieces(text, face, width):
        longer = line + joint + piece if line else piece
        if face.getlength(longer) <= width:
            line = longer
        else:
            done.append(line)
            line = piece
    if line:
        done.append(line)
    return done if len(done) <= lines else [*done[: lines - 1], shorten(" ".join(done[lines - 1 :]), face, width)]


def longest_word(texts: Iterable[str], face: Font) -> int:
    """Return the width in pixels of the widest word."""
    return math.ceil(max((face.getlength(word) for text in texts for word in text.split()), default=0))


def _pieces(text: str, face: Font, width: int) -> Iterator[tuple[str, str]]:
    """Yield what a line may be made of, none wider than `width` if that can be, and what joins each to its left."""
    for word in text.split():
        joint = " "
        for part in [word] if face.getlength(word) <= width else re.findall(r"[^_./-]*[_./-]+|[^_./-]+", word):
            while face.getlength(part) > width and len(part) > 1:
                fits = next(n for n in range(len(part) - 1, 0, -1) if n == 1 or face.getlength(part[:n]) <= width)
                yield part[:fits], joint
                part, joint = part[fits:], ""
            yield part, joint
            joint = ""


def shorten(text: str, face: Font, width: int) -> str:
    """Return `text`, cut and ended by `…` if it is wider than `width` pixels."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def write_lines(draw: ImageDraw.ImageDraw, lines: list[str], at: tuple[float, float], face: Font, fill: str) -> None:
    """Write `lines` below each other; `at` is the first one's left upper corner."""
    for index, line in enumerate(lines):
        draw.text((at[0], at[1] + index * line_height(face)), line, font=face, fill=fill, anchor="la")


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


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return `size` scaled so that its longer side has `side` pixels."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def largest(paths: Sequence[Path | None]) -> tuple[int, int]:
    """Return the width and height that hold every picture; a square of `NO_PICTURE` pixels where there is none."""
    sizes = [image.size for image in map(read_image, paths) if image is not None] or [(NO_PICTURE, NO_PICTURE)]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def save(canvas: Image.Image, path: Path) -> None:
    """Write a picture as PNG, atomically.

    Raises:
        OSError: `path` cannot be written.
    """
    with files.writing(path) as temporary:
        canvas.save(temporary, format="PNG")
