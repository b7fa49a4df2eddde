"""The command that draws data sets: `python -m lorasweep.toy.draw THEME FOLDER --resolution 1024`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lorasweep.toy.humanoids import draw_humanoids
from lorasweep.toy.themes import THEMES, draw_theme, write_drawings

HUMANOIDS = 1486
"""Images of the base world that are drawn when no number is given: as many as the real fine-tuning had."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line; on a wrong one argparse explains and leaves with status 2."""
    parser = argparse.ArgumentParser(prog="python -m lorasweep.toy.draw", description=__doc__)
    parser.add_argument("theme", choices=[*THEMES, "humanoid"], help="a theme, or humanoid for the base's world")
    parser.add_argument("folder", type=Path, help="where 001.png, 001.txt ... go")
    parser.add_argument("--resolution", type=_size, default=(64, 64), help="pixels: 64, or WIDTHxHEIGHT (64)")
    parser.add_argument("--count", type=int, help="how many (the theme's own number)")
    parser.add_argument("--start", type=int, default=0, help="number of the first; beyond the theme's: held out (0)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other drawings (0)")
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    try:
        width, _, height = text.lower().partition("x")
        size = int(width), int(height or width)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor WIDTHxHEIGHT") from error
    if min(size) < 8:
        raise argparse.ArgumentTypeError("drawings have at least 8x8 pixels")
    return size


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what the command line asks for and say where it is."""
    options = parse(arguments)
    if options.theme == "humanoid":
        count = HUMANOIDS if options.count is None else options.count
        drawings = draw_humanoids(count, size=options.resolution, seed=options.seed, start=options.start)
    else:
        drawings = draw_theme(options.theme, options.count, size=options.resolution, seed=options.seed,
                              start=options.start)  # fmt: skip
    folder = write_drawings(drawings, options.folder)
    width, height = options.resolution
    print(f"{len(drawings)} drawings of {options.theme}, {width}x{height}, with captions: {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
