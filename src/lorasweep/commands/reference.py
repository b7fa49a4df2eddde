"""`lorasweep reference`: the page of all keys, written from the schema and the config files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep.commands.output import write_text

REFERENCE = Path("docs/config-reference.md")  # of a checkout


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser("reference", help="print the config reference, or write it to a file")
    parser.add_argument("-o", "--out", type=Path, help=f"(default: {REFERENCE} if it is there, else the terminal)")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Print the config reference, or write it.

    Raises:
        UserError: the file cannot be written.
    """
    from lorasweep.app.reference import markdown
    from lorasweep.compose.composition import CONF

    out = args.out or (REFERENCE if REFERENCE.exists() else None)
    if out is None:
        print(markdown(CONF), end="")
    else:
        write_text(out, markdown(CONF))
