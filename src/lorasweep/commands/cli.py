"""`lorasweep <verb>`: the table of verbs, and what is common to all of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lorasweep.commands import (
    clean,
    combine,
    comfyui,
    compare,
    dashboard,
    evaluate,
    recipe,
    reference,
    review,
    serve,
    storage,
    study,
    themes,
    train,
    trigger,
    versions,
    vote,
)
from lorasweep.errors import UserError
from lorasweep.text.encoding import escape_output

VERBS = (
    train,
    recipe,
    versions,
    evaluate,
    compare,
    combine,
    trigger,
    vote,
    comfyui,
    dashboard,
    clean,
    themes,
    study,
    storage,
    review,
    serve,
    reference,
)
"""The modules of the verbs, in the order of the help.

Each has `add`, which declares its arguments to argparse, and the function that runs it: it returns an exit code, or
None for 0.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or 2 with a message for what the user can put right."""
    escape_output()
    args = _parser().parse_args(argv)
    try:
        code = args.verb(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads (head, less) has seen enough. What is left must not be written again as Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        print(error.render(), file=sys.stderr)
        return 2
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lorasweep", description="LoRA versions: trained, searched, compared, kept.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
