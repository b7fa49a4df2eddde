"""`lorasweep <verb>`: the table of verbs, and what is common to all of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lorasweep.commands import clean, recipe, reference, storage, study, themes, versions
from lorasweep.errors import UserError
from lorasweep.text.encoding import escape_output

VERBS = (recipe, versions, clean, themes, study, storage, reference)
"""The modules of the verbs, in the order of the help: each has `add`, which declares it to argparse."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or 2 with a message for what the user can put right."""
    escape_output()
    args = _parser().parse_args(argv)
    try:
        args.verb(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads (head, less) has seen enough. What is left must not be written again as Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        print(error.render(), file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lorasweep", description="Everything about LoRA versions but training them.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
