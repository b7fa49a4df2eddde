"""Sample grids: rows of prompts, columns of epochs or of versions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw

from lorasweep.pictures.canvas import (
    ACCENT,
    FAINT,
    INK,
    PAPER,
    Font,
    font,
    largest,
    line_height,
    longest_word,
    paste,
    save,
    scaled_size,
    shorten,
    wrap,
    write_lines,
)

SMALLEST, LARGEST = 160, 320  # pixels of a cell's longer side
WIDTH = 1500  # pixels that all columns together aim at
GAP = 12
APART = 28  # pixels between a column that stands apart and the next
MARGIN = 28
NOTES = 4  # lines below a head at most
COLUMNS = 10  # of epochs at most


@dataclass(frozen=True)
class Column:
    """One column of a grid.

    Attributes:
        head: what stands above it, such as `epoch 3`.
        pictures: a PNG or None from top to bottom; where there are fewer than rows, the rest stays blank.
        notes: short texts below the head, such as what was measured.
        mark: a word behind the head of a column that is to stand out, such as `selected`; "" for all others.
        apart: whether it is of another kind than the columns to its right, as training images are.
    """

    head: str
    pictures: Sequence[Path | None]
    notes: Sequence[str] = ()
    mark: str = ""
    apart: bool = False


def choose_columns(epochs: Sequence[int], selected: int | None = None) -> list[int]:
    """Choose the columns of a grid: the first two (base, first epoch), the selected epoch, the last, some between.

    Args:
        epochs: the epochs that there are, ascending.
        selected: the selected epoch, if there is one.

    Returns:
        Indices into `epochs`, ascending; those between are spread as evenly as the fixed ones allow.
    """
    if len(epochs) <= COLUMNS:
        return list(range(len(epochs)))
    chosen = {0, 1, len(epochs) - 1} | ({epochs.index(selected)} if selected in epochs else set())
    while len(chosen) < COLUMNS:
        ordered = sorted(chosen)
        gap, left = max((right - left, -left) for left, right in pairwise(ordered))
        chosen.add(-left + gap // 2)
    return sorted(chosen)


def write_grid(columns: Sequence[Column], rows: Sequence[str], path: Path, *, title: str, notes: str = "") -> None:
    """Draw samples in rows and columns and write them as one PNG, atomically.

    Pictures of any size are enlarged or reduced to one cell size; long labels are wrapped; a missing or unreadable
    picture is an empty tile.

    Args:
        columns: from left to right.
        rows: the labels of the rows, such as prompts.
        path: the PNG to write.
        title: the line above.
        notes: what the columns' notes are, such as the name of a metric; stands left of them.

    Raises:
        ValueError: there are no rows or no columns, or a column has more pictures than there are rows.
        OSError: `path` cannot be written.
    """
    if not rows or not columns or any(len(column.pictures) > len(rows) for column in columns):
        raise ValueError(f"{len(columns)} columns and {len(rows)} rows: a column has a picture for each row at most")
    width, height = _cell_size(columns)
    face, bold, head = font(_text_size(width)), font(_text_size(width), bold=True), font(26, bold=True)
    label_width = round(min(320, max(190, 0.95 * width, longest_word(rows, face))))
    below = [_notes(column, face, width) for column in columns]
    line = line_height(face)

    top = MARGIN + line_height(head) + 14
    first_cell = top + line * (1 + max(map(len, below))) + 14
    lefts = _lefts(columns, MARGIN + label_width + 16, width)
    bottom = first_cell + len(rows) * (height + GAP) - GAP
    canvas = Image.new("RGB", (lefts[-1] + width + MARGIN, bottom + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), shorten(title, head, canvas.width - 2 * MARGIN), font=head, fill=INK)
    if any(below):
        draw.text((MARGIN, top + line), shorten(notes, face, label_width), font=face, fill=FAINT)
    for index, label in enumerate(rows):
        lines = wrap(label, face, label_width, max(1, height // line))
        y = first_cell + index * (height + GAP)
        write_lines(draw, lines, (MARGIN, y + (height - len(lines) * line) / 2), face, INK)
    for column, x, lines in zip(columns, lefts, below, strict=True):
        if column.mark:
            draw.rounded_rectangle((x - 4, top - 4, x + width + 3, bottom + 3), radius=7, fill=ACCENT)
        fill = PAPER if column.mark else FAINT
        text = f"{column.head} · {column.mark}"
        if not column.mark or bold.getlength(text) > width:
            text = column.head
        text = shorten(text, bold if column.mark else face, width)
        draw.text((x + width / 2, top + 2), text, font=bold if column.mark else face, fill=fill, anchor="ma")
        for number, note in enumerate(lines, 1):
            draw.text((x + width / 2, top + 2 + number * line), note, font=face, fill=fill, anchor="ma")
        for index, picture in enumerate(column.pictures):
            y = first_cell + index * (height + GAP)
            paste(canvas, picture, (x, y, x + width, y + height))
    save(canvas, path)


def _lefts(columns: Sequence[Column], left: int, width: int) -> list[int]:
    """Return where each column begins."""
    lefts = [left]
    for column in columns[:-1]:
        lefts.append(lefts[-1] + width + (APART if column.apart else GAP))
    return lefts


def _notes(column: Column, face: Font, width: int) -> list[str]:
    return [line for note in column.notes for line in wrap(note, face, width, 2)][:NOTES]


def _cell_size(columns: Sequence[Column]) -> tuple[int, int]:
    """Return width and height of a cell: as large as `WIDTH` allows, a whole multiple of small pictures."""
    # Columns that stand apart follow: training images come in more shapes than samples do.
    sizes = largest([path for column in columns if not column.apart for path in column.pictures])
    native = max(sizes)
    room = min(LARGEST, max(SMALLEST, WIDTH // max(1, len(columns))))
    side = native * max(room // native, math.ceil(SMALLEST / native)) if native < room else room
    return scaled_size(sizes, side)


def _text_size(cell: int) -> int:
    return round(min(19, max(14, cell * 0.075)))
