"""`lorasweep train`: what `python train.py` does, from any folder."""

from __future__ import annotations

import argparse
from typing import Any


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "train",
        help="train a version of a LoRA, or search for the best (lorasweep train --help)",
        add_help=False,
        prefix_chars="\0",  # all that follows is for Hydra, options too
    )
    parser.add_argument("line", nargs="*")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> int:
    """Train what a command line asks for, and return the exit code.

    Raises:
        UserError: never; what the user can put right is told here.
    """
    from lorasweep.app import launch  # and with it Hydra

    return launch.main(args.line, "lorasweep train")
