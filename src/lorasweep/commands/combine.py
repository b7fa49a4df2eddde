"""`lorasweep combine`: several LoRAs on one base, each theme alone and together; one file of them all on request."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.evaluation.options import add_options, strengths_in


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "combine",
        help="several LoRAs together: each theme's fidelity alone and together, interference, one merged file",
        description="Puts several LoRAs on the base at once and measures each theme alone and together: what the "
        "others cost it, which layers they share, and at which strengths the theme that loses most loses least. A "
        "file of no version is a helper: it has no theme of its own.",
        epilog="example: lorasweep combine fuzzybear/v6 robots/v6:0.8 --search 0.5,0.75,1 --merge both.safetensors",
    )
    parser.add_argument("candidates", nargs="+", metavar="VERSION|FILE[:STRENGTH]", help="two or more, of one base")
    add_options(parser)
    parser.add_argument(
        "--search", type=strengths_in, metavar="S,S", help="try every combination of these strengths, and say the best"
    )
    parser.add_argument("--merge", type=Path, metavar="FILE", help="write them as one LoRA, at the best strengths")
    parser.add_argument("--rank", type=int, metavar="R", help="of the merged file; without it nothing is lost")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="the sheet (default: below --output-root)")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Combine what a command line names.

    Raises:
        UserError: something of it cannot be combined, or a file cannot be written.
    """
    from lorasweep.console.lines import echo
    from lorasweep.evaluation import candidates, combine
    from lorasweep.evaluation.asking import EvaluationOptions

    if args.rank is not None and args.rank < 1:
        raise UserError(f"--rank {args.rank}: expected 1 or more", title=combine.TITLE)
    found = candidates.find_candidates(args.candidates, args.output_root)
    options = combine.with_strength(EvaluationOptions.of(args))
    parts, base = combine.open_parts(found, options)
    if args.search:
        tried = combine.best_strengths(parts, args.search)
    else:
        tried = [combine.measure_together(parts, [part.strength for part in parts])]
    echo()
    for line in combine.fidelity_table(parts, tried):
        echo(line)
    if args.search:
        strengths = " ".join(
            f"{part.candidate.text}:{strength:g}" for part, strength in zip(parts, tried[0].strengths, strict=True)
        )
        echo(f"  best by the theme that keeps least: {strengths}")
    echo()
    for line in combine.by_layer(combine.overlaps(parts, base), count=5):
        echo(line)
    names = "-".join(candidate.text.replace("/", "_").replace("@", "_") for candidate in found)[:80]
    sheet = args.out or Path(args.output_root) / "comparisons" / f"{names}-together.png"
    try:
        if any(part.bench is not None for part in parts):
            combine.write_sheet(parts, tried[0], sheet)
            echo(f"wrote {sheet}")
        if args.merge is not None:
            lost = combine.merge(parts, tried[0].strengths, base, args.merge, args.rank)
            echo(f"wrote {args.merge}: use it at strength 1" + (f"; rank {args.rank} lost {lost:.2%}" if lost else ""))
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be written ({error.strerror})", title="Nothing was written"
        ) from error
