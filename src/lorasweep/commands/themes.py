"""`lorasweep themes`: the themed datasets, drawn into folders of images and captions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.schema import THEMES


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser("themes", help="draw the themed datasets, images and captions")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets a folder per theme")
    parser.add_argument("--resolution", type=int, default=64, help="side in pixels, 8 or more (default: %(default)s)")
    parser.add_argument("--theme", choices=THEMES, action="append", help="only this one (may be given several times)")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Draw the themes.

    Raises:
        UserError: the size is impossible, or the folder cannot be written.
    """
    from lorasweep.toy.themes import write_theme

    if args.resolution < 8:
        raise UserError(f"--resolution {args.resolution}: expected 8 pixels or more", title="Nothing was drawn")
    for theme in args.theme or THEMES:
        try:
            folder = write_theme(theme, args.folder / theme, size=(args.resolution, args.resolution))
        except OSError as error:
            raise UserError(f"{args.folder} cannot be written ({error.strerror})", title="Nothing was drawn") from error
        print(f"{theme}: {len(list(folder.glob('*.png')))} images in {folder}")
