"""The options that every verb has which draws. Imported for each command line: no torch, no Hydra."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STRENGTHS = (1.0,)


def add_options(parser: Any, strengths: Sequence[float] = STRENGTHS) -> None:
    """Declare what every verb that draws can be asked for.

    Args:
        parser: argparse's, of the verb.
        strengths: that are looked at where none are given.
    """
    parser.add_argument(
        "--prompts-file",
        type=Path,
        metavar="FILE",
        help="prompts to draw in place of the version's own: one a line, {trigger} for its trigger, options as in "
        "sd-scripts' files (--n negative --w --h --d seed --l guidance --s steps)",
    )
    parser.add_argument("--seeds", type=numbers, metavar="N,N", help="seeds of each prompt: 0,1,5 or 0-7")
    parser.add_argument(
        "--strengths",
        type=strengths_in,
        default=list(strengths),
        metavar="S,S",
        help=f"strengths of the weights (default: {','.join(f'{each:g}' for each in strengths)})",
    )
    parser.add_argument("--features", type=names, metavar="M,M", help="feature models that see the images")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of sampling.*, evaluation.* ..."
    )
    parser.add_argument("--output-root", default="outputs", help="folder of all versions (default: %(default)s)")


def numbers(text: str) -> list[int]:
    """Return the whole numbers of `0,1,5` or `0-7`; argparse tells what is neither."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise argparse.ArgumentTypeError(f"{part!r} is neither a whole number nor a range such as 0-7")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(found))


def strengths_in(text: str) -> list[float]:
    """Return the strengths of `0.5,1`; argparse tells what is none."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers such as 0.5,0.8,1") from None
    if not all(-10 <= value <= 10 for value in found):
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers between -10 and 10")
    return list(dict.fromkeys(found))


def names(text: str) -> list[str]:
    """Return the names of `a,b`."""
    return [part.strip() for part in text.split(",") if part.strip()]
