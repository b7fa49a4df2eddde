"""`lorasweep review`: versions, their pictures and measures as one page that needs no network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.text.values import counted, size


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "review",
        help="write a page that shows versions, their pictures and measures side by side",
        epilog="example: lorasweep review outputs/fuzzybear",
    )
    add_target(parser)
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="the page (default: review.html in the folder that it is about)"
    )
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="let nothing lie beside it: larger pictures in the page, for sending it to somebody",
    )
    parser.set_defaults(verb=run)


def add_target(parser: argparse.ArgumentParser) -> None:
    """Declare what a page is about."""
    parser.add_argument(
        "target",
        nargs="?",
        metavar="LORA|STUDY|FOLDER",
        help="a LoRA or a study, by its name or folder; without it all versions",
    )
    parser.add_argument(
        "--output-root", type=Path, default=Path("outputs"), help="folder of all versions (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    """Write a page.

    Raises:
        UserError: there is nothing to show, or the page cannot be written.
    """
    from lorasweep.review.page.choice import choose
    from lorasweep.review.page.write import write

    choice = choose(args.target, args.output_root)
    file = args.out or choice.home / "review.html"
    try:
        written = write(choice, file, single=args.single_file)
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror})", title="Nothing was written") from error
    what = f"{counted(written.versions, 'version')}, {counted(written.pictures, 'picture')}"
    print(f"wrote {file}: {what}, {size(file.stat().st_size)}; open it in a browser")
