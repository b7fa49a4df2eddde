"""`lorasweep recipe`: the config that trains a weights file again, from the file alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep import program
from lorasweep.commands.output import write_text
from lorasweep.errors import UserError


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser("recipe", help="write the config that trains a weights file again, from the file alone")
    parser.add_argument("file", type=Path, metavar="FILE", help="a .safetensors file of ours or of kohya's scripts")
    parser.add_argument("-o", "--out", type=Path, help="where to write it; default: print it")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Print the recipe of a file, or write it.

    Raises:
        UserError: the file says too little, or something else stands where the recipe is to be written.
    """
    from lorasweep.export.recipe import recipe_from_file

    text = recipe_from_file(args.file, args.out)
    if args.out is None:
        print(text, end="")
    else:
        if args.out.is_file() and args.out.read_bytes() != text.encode():
            raise UserError(
                f"{args.out} has other content: remove it, or give -o another name", title="Nothing written"
            )
        write_text(args.out, text)
        for line in text.splitlines():
            if f"{program.command()} " in line:
                print(line.removeprefix("# "))
