"""`lorasweep themes`: the drawn datasets, as folders of images and captions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.schema import THEMES

LARGE = "humanoid"  # 1,486 drawings: drawn only where it is asked for
TITLE = "Nothing was drawn"


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser("themes", help="draw the themed datasets, images and captions")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets a folder per theme")
    parser.add_argument(
        "--resolution", type=_size, default=(64, 64), metavar="SIZE", help="pixels: 64, or WIDTHxHEIGHT (default: 64)"
    )
    parser.add_argument(
        "--theme", choices=tuple(THEMES), action="append", help="only this one (may be given several times)"
    )
    parser.add_argument("--count", type=int, metavar="N", help="how many images of each (default: the theme's own)")
    parser.add_argument(
        "--start",
        type=int,
        default=0,
        metavar="N",
        help="number of the first; those beyond its own are held out",
    )
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Draw the themes.

    Raises:
        UserError: a size or a number is impossible, or the folder cannot be written.
    """
    from lorasweep.data.providers import write_set

    if min(args.resolution) < 8:
        given = "x".join(map(str, dict.fromkeys(args.resolution)))
        raise UserError(f"--resolution {given}: expected 8 pixels or more", TITLE)
    if args.start < 0 or (args.count is not None and args.count < 1):
        raise UserError("expected --count of 1 or more, and --start of 0 or more", TITLE)
    for theme in args.theme or [name for name in THEMES if name != LARGE]:
        try:
            folder = write_set(theme, args.folder / theme, size=args.resolution, count=args.count, start=args.start)
        except OSError as error:
            raise UserError(f"{args.folder} cannot be written ({error.strerror})", TITLE) from error
        print(f"{theme}: {len(list(folder.glob('*.png')))} images in {folder}")


def _size(text: str) -> tuple[int, int]:
    """Return width and height of `64` or `64x96`; argparse tells what is neither."""
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor WIDTHxHEIGHT") from error
