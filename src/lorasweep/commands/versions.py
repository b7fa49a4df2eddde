"""`lorasweep versions`: what differs among the versions trained so far, how good they are, how they look."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.review.comparison import groups
from lorasweep.runs import ledger
from lorasweep.schema import slug
from lorasweep.text.names import did_you_mean


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "versions",
        help="compare the versions trained so far: what differs among them, how good they are",
        epilog="example: lorasweep versions fuzzybear --sort value",
    )
    parser.add_argument("name", nargs="?", help="only those of one LoRA, such as FuzzyBear")
    parser.add_argument("version", nargs="*", metavar="vN", help="only these, such as v6 v8")
    parser.add_argument("--study", metavar="NAME", help="only the trials of this study")
    parser.add_argument("--output-root", default="outputs", help="folder of all versions (default: %(default)s)")
    parser.add_argument(
        "--sort",
        default="number",
        metavar="BY",
        help="value (the best first), steps, time, started, or a setting such as rank (default: %(default)s)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print them as JSON, with every setting that differs")
    form.add_argument("--picture", type=Path, metavar="FILE", help="draw their samples side by side into a PNG instead")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Print the versions that a command line is about, or draw them.

    Raises:
        UserError: there are none, or they cannot be sorted or drawn so.
    """
    found = _chosen(args)
    from lorasweep.review.comparison import table  # and with it rich

    compared = groups.compare(found)
    try:
        if args.picture is not None:
            _picture(args, compared)
        elif args.json:
            print(json.dumps(table.as_json(compared, args.sort), indent=2, ensure_ascii=False))
        else:
            table.show(compared, sort=args.sort)
    except KeyError:
        known = [*groups.SORTS, *(key.rpartition(".")[2] for one in compared for key in one.differing)]
        raise UserError(
            f"--sort {args.sort}: expected one of {', '.join(dict.fromkeys(known))}{did_you_mean(args.sort, known)}",
            title="The versions cannot be sorted so",
        ) from None


def _picture(args: argparse.Namespace, compared: Sequence[groups.Comparison]) -> None:
    from lorasweep.review.comparison import picture  # and with it what draws

    try:
        left_out = picture.write_picture(compared, args.picture, sort=args.sort)
    except OSError as error:
        raise UserError(f"{args.picture} cannot be written ({error.strerror})", title="Nothing was drawn") from error
    for line in left_out:
        print(f"left out {line}")
    print(f"wrote {args.picture}")


def _chosen(args: argparse.Namespace) -> list[ledger.RecordedVersion]:
    """Return the versions that a command line is about.

    Raises:
        UserError: there are none; the message lists what there is.
    """
    for folder in ledger.unreadable(args.output_root):
        print(f"left out {folder}: its record.json cannot be read", file=sys.stderr)
    everything = ledger.versions(args.output_root)
    found = [version for version in everything if not args.name or slug(version.name) == slug(args.name)]
    if args.study:
        found = [v for v in found if v.record.study == args.study]
    if args.version:
        found = [version for version in found if f"v{version.number}" in args.version]
    if found:
        return found
    of_what = f" {', '.join(args.version)}" if args.version else ""
    of_what += f" of {args.name}" if args.name else ""
    of_what += f" in study {args.study}" if args.study else ""
    names = dict.fromkeys(version.name for version in everything)
    known = f"it has versions of {', '.join(names)}" if names else "train one first, or give --output-root"
    raise UserError(f"{args.output_root} holds no version{of_what}: {known}", title="There is nothing to list")
