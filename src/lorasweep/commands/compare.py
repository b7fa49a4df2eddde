"""`lorasweep compare`: versions and weights files side by side, with the base, at the same prompts and seeds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.evaluation.options import add_options

STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.2)


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "compare",
        help="versions and weights files side by side: one grid with the base, paired differences, strengths",
        description="Draws every one at the same prompts, seeds and strengths, writes labelled sheets (prompts by "
        "versions, versions by strengths) and prints how they differ from the first, picture by picture, with "
        "intervals. What was drawn before is not drawn again.",
        epilog="example: lorasweep compare v4 v5 v6 --seeds 0-3",
    )
    parser.add_argument("candidates", nargs="+", metavar="VERSION|FILE", help="v6, fuzzybear/v6, v6@12, a file")
    add_options(parser, STRENGTHS)
    parser.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="of the sheets (default: below --output-root)")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Compare what a command line names.

    Raises:
        UserError: something of it cannot be drawn, or the sheets cannot be written.
    """
    from lorasweep.console.lines import echo
    from lorasweep.evaluation import candidates, compare, table
    from lorasweep.evaluation.asking import EvaluationOptions

    found = candidates.find_candidates(args.candidates, args.output_root)
    compared = compare.compare_candidates(found, EvaluationOptions.of(args))
    names = "-".join(candidate.text.replace("/", "_").replace("@", "_") for candidate in found)[:80]
    folder = args.out or Path(args.output_root) / "comparisons" / names
    try:
        pictures = compare.write_sheets_of(compared, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror})", title="Nothing was drawn") from error
    for lines in (compare.strength_lines(compared), compare.paired_lines(compared)):
        echo()
        for line in lines:
            echo(line)
    echo(f"  {table.INTERVALS}")
    for picture in pictures:
        echo(f"wrote {picture}")
