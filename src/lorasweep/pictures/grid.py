"""Sample grids: prompts x epochs, and before/after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw

from lorasweep import files
from lorasweep.pictures.canvas import (
    ACCENT,
    FAINT,
    INK,
    PAPER,
    font,
    line_height,
    paste,
    read_image,
    shorten,
    wrap,
    write_lines,
)

SMALLEST, LARGEST = 160, 320  # pixels of a cell's longer side
WIDTH = 1500  # pixels that all columns together aim at
GAP = 12
MARGIN = 28


def shown_columns(epochs: Sequence[int], selected: int | None = None, limit: int = 10) -> list[int]:
    """Choose the columns of a grid: the first two (base, first epoch), the selected epoch, the last, some between.

    Args:
        epochs: the epochs that there are, ascending.
        selected: the selected epoch, if there is one.
        limit: how many columns to show at most, at least 4.

    Returns:
        Indices into `epochs`, ascending; those between are spread as evenly as the fixed ones allow.
    """
    if len(epochs) <= limit:
        return list(range(len(epochs)))
    chosen = {0, 1, len(epochs) - 1} | ({epochs.index(selected)} if selected in epochs else set())
    while len(chosen) < limit:
        ordered = sorted(chosen)
        gap, left = max((right - left, -left) for left, right in pairwise(ordered))
        chosen.add(-left + gap // 2)
    return sorted(chosen)


def write_grid(
    cells: Sequence[Sequence[Path | None]],
    prompts: Sequence[str],
    epochs: Sequence[int],
    path: Path,
    *,
    title: str,
    selected: int | None = None,
) -> None:
    """Draw samples as prompts x epochs and write them as one PNG, atomically.

    Pictures of any size are enlarged or reduced to one cell size; long prompts are wrapped; of many epochs some are
    shown (`shown_columns`); a missing or unreadable picture is an empty tile.

    Args:
        cells: one row per prompt, in it one PNG (or None) per epoch.
        prompts: the labels of the rows.
        epochs: the epochs of the columns, ascending; 0 is the base.
        path: the PNG to write.
        title: the line above.
        selected: the epoch to mark.

    Raises:
        ValueError: prompts, epochs and cells do not fit each other, or there are none.
        OSError: `path` cannot be written.
    """
    if not cells or not epochs or len(cells) != len(prompts) or any(len(row) != len(epochs) for row in cells):
        raise ValueError(f"{len(prompts)} prompts x {len(epochs)} epochs need as many rows and columns of pictures")
    columns = shown_columns(epochs, selected)
    width, height = _cell_size(cells, len(columns))
    face, bold, head = font(_text_size(width)), font(_text_size(width), bold=True), font(26, bold=True)
    label_width = round(min(320, max(190, 0.95 * width)))

    top = MARGIN + line_height(head) + 14
    first_cell = top + line_height(face) + 14
    left = MARGIN + label_width + 16
    size = (
        left + len(columns) * (width + GAP) - GAP + MARGIN,
        first_cell + len(cells) * (height + GAP) - GAP + MARGIN,
    )
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), shorten(title, head, size[0] - 2 * MARGIN), font=head, fill=INK)

    for position, column in enumerate(columns):
        x = left + position * (width + GAP)
        marked = epochs[column] == selected
        if marked:
            bottom = first_cell + len(cells) * (height + GAP) - GAP
            draw.rounded_rectangle((x - 4, top - 4, x + width + 3, bottom + 3), radius=7, fill=ACCENT)
        text = _name(epochs[column])
        if marked and bold.getlength(f"{text} · selected") <= width:
            text += " · selected"
        middle = (x + width / 2, top + line_height(face) / 2 + 2)
        draw.text(middle, text, font=bold if marked else face, fill=PAPER if marked else FAINT, anchor="mm")
    for index, (row, label) in enumerate(zip(cells, prompts, strict=True)):
        y = first_cell + index * (height + GAP)
        lines = wrap(label, face, label_width, max(1, height // line_height(face)))
        write_lines(draw, lines, (MARGIN, y + (height - len(lines) * line_height(face)) / 2), face, INK)
        for position, column in enumerate(columns):
            x = left + position * (width + GAP)
            paste(canvas, row[column], (x, y, x + width, y + height))
    _save(canvas, path)


def write_before_after(
    pairs: Sequence[tuple[Path, Path]],
    prompts: Sequence[str],
    path: Path,
    *,
    title: str,
    labels: tuple[str, str] = ("base", "with the LoRA"),
    side: int = 384,
) -> None:
    """Draw pairs of samples large, side by side, each under its prompt, and write them as one PNG, atomically.

    Args:
        pairs: the base's sample and the version's, per prompt; same prompt, same seed.
        prompts: what both were asked for.
        path: the PNG to write.
        title: the line above.
        labels: names of the two columns.
        side: pixels of a picture's longer side.

    Raises:
        ValueError: there is not one prompt per pair, or there are no pairs.
        OSError: `path` cannot be written.
    """
    if not pairs or len(pairs) != len(prompts):
        raise ValueError(f"{len(pairs)} pairs and {len(prompts)} prompts: one prompt per pair is needed")
    width, height = _fit(_largest([path for pair in pairs for path in pair]), side)
    face, bold, head = font(17), font(19, bold=True), font(26, bold=True)
    size_x = 2 * MARGIN + 2 * width + GAP
    captions = [wrap(prompt, face, 2 * width + GAP, 3) for prompt in prompts]

    title_lines = wrap(title, head, 2 * width + GAP, 2)
    y = MARGIN + len(title_lines) * line_height(head) + 10
    rows = sum(len(lines) * line_height(face) + 10 + height + 26 for lines in captions)
    canvas = Image.new("RGB", (size_x, y + line_height(bold) + 14 + rows - 26 + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    write_lines(draw, title_lines, (MARGIN, MARGIN), head, INK)
    for column, (label, colour) in enumerate(zip(labels, (FAINT, ACCENT), strict=True)):
        x = MARGIN + column * (width + GAP) + width / 2
        draw.text((x, y), shorten(label, bold, width), font=bold, fill=colour, anchor="ma")
    y += line_height(bold) + 14
    for pair, lines in zip(pairs, captions, strict=True):
        write_lines(draw, lines, (MARGIN, y), face, INK)
        y += len(lines) * line_height(face) + 10
        for column, picture in enumerate(pair):
            x = MARGIN + column * (width + GAP)
            paste(canvas, picture, (x, y, x + width, y + height))
        y += height + 26
    _save(canvas, path)


def _cell_size(cells: Sequence[Sequence[Path | None]], columns: int) -> tuple[int, int]:
    """Return width and height of a cell: as large as `WIDTH` allows, a whole multiple of small pictures."""
    largest = _largest([path for row in cells for path in row])
    native = max(largest)
    room = min(LARGEST, max(SMALLEST, WIDTH // max(1, columns)))
    side = native * max(room // native, math.ceil(SMALLEST / native)) if native < room else room
    return _fit(largest, side)


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _largest(paths: Sequence[Path | None]) -> tuple[int, int]:
    """Return the width and height that hold every picture; a square where there is none."""
    sizes = [image.size for image in map(read_image, paths) if image is not None] or [(SMALLEST, SMALLEST)]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def _text_size(cell: int) -> int:
    return round(min(19, max(14, cell * 0.075)))


def _name(epoch: int) -> str:
    return f"epoch {epoch}" if epoch else "base"


def _save(canvas: Image.Image, path: Path) -> None:
    with files.writing(path) as temporary:
        canvas.save(temporary, format="PNG")
