"""The base beside the version: same prompts, same seeds, and what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from lorasweep.pictures.canvas import (
    ACCENT,
    FAINT,
    INK,
    PAPER,
    font,
    largest,
    line_height,
    paste,
    save,
    scaled_size,
    shorten,
    wrap,
    write_lines,
)

WIDTH = 1200  # pixels that the pictures side by side aim at
BAND = 4  # prompts side by side; more go below
GAP, APART, MARGIN = 12, 32, 28
LINES = 8  # of a prompt at most
SIDE = 384  # pixels of a picture's longer side at most


def write_before_after(
    pairs: Sequence[tuple[Path, Path]],
    prompts: Sequence[str],
    path: Path,
    *,
    title: str,
    labels: tuple[str, str] = ("base", "with the LoRA"),
    training: Sequence[Path] = (),
) -> None:
    """Draw pairs of samples, the base's above the version's, each under its prompt, and write one PNG, atomically.

    Args:
        pairs: the base's sample and the version's, per prompt; same prompt, same seed.
        prompts: what both were asked for.
        path: the PNG to write.
        title: the line above.
        labels: names of the two rows.
        training: up to two training images, in a column of their own.

    Raises:
        ValueError: there is not one prompt per pair, or there are no pairs.
        OSError: `path` cannot be written.
    """
    if not pairs or len(pairs) != len(prompts):
        raise ValueError(f"{len(pairs)} pairs and {len(prompts)} prompts: one prompt per pair is needed")
    across = min(BAND, len(pairs))
    room = (WIDTH - GAP) // (across + bool(training)) - GAP
    width, height = scaled_size(largest([path for pair in pairs for path in pair]), min(SIDE, room))
    face, bold, head = font(15), font(16, bold=True), font(26, bold=True)
    left = MARGIN + max(round(bold.getlength(word)) for label in labels for word in label.split()) + APART
    right = left + across * (width + GAP) - GAP + (APART + width if training else 0)
    bands = [range(start, min(start + BAND, len(pairs))) for start in range(0, len(pairs), BAND)]
    captions = [wrap(prompt, face, width, LINES) for prompt in prompts]
    above = [line_height(face) * max(len(captions[index]) for index in band) + 8 for band in bands]
    title_lines = wrap(title, head, right - MARGIN, 2)
    y = MARGIN + len(title_lines) * line_height(head) + 14
    bottom = y + sum(above) + len(bands) * (2 * (height + GAP) + APART) - GAP - APART

    canvas = Image.new("RGB", (right + MARGIN, bottom + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    write_lines(draw, title_lines, (MARGIN, MARGIN), head, INK)
    if training:
        x, first = right - width, y + above[0]
        draw.text((x, first - 8), shorten("training images", bold, width), font=bold, fill=FAINT, anchor="ld")
        for row, picture in enumerate(training[:2]):
            paste(canvas, picture, (x, first + row * (height + GAP), right, first + row * (height + GAP) + height))
    for band, room in zip(bands, above, strict=True):
        for column, index in enumerate(band):
            write_lines(draw, captions[index], (left + column * (width + GAP), y), face, INK)
        y += room
        for row, (label, colour) in enumerate(zip(labels, (FAINT, ACCENT), strict=True)):
            words = wrap(label, bold, left - MARGIN - GAP, 4)
            write_lines(draw, words, (MARGIN, y + (height - len(words) * line_height(bold)) / 2), bold, colour)
            for column, index in enumerate(band):
                x = left + column * (width + GAP)
                paste(canvas, pairs[index][row], (x, y, x + width, y + height))
            y += height + GAP
        y += APART
    save(canvas, path)
