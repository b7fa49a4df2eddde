"""`lorasweep study`: what a search found, or which searches there are."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep import program
from lorasweep.errors import UserError

if TYPE_CHECKING:
    import optuna


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser("study", help="show what a search found: leaderboard, plots, the best version")
    parser.add_argument("name", nargs="?", help="the study; without it all studies are listed")
    parser.add_argument(
        "--output-root", type=Path, default=Path("outputs"), help="folder of all versions (default: %(default)s)"
    )
    parser.add_argument("--storage", metavar="URL", help="where the study is kept, if not in its own folder")
    parser.add_argument("--top", type=int, metavar="N", help="print only the best N trials")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the study's plots there")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the leaderboard as JSON")
    form.add_argument("--csv", action="store_true", help="print the leaderboard as comma-separated values")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Show a study, or list all of them.

    Raises:
        UserError: there is no such study, or its plots cannot be written.
    """
    from lorasweep.review import leaderboard
    from lorasweep.search import lookup, ranking
    from lorasweep.studies import results

    if args.name is None:
        _list(args)
        return
    found = lookup.find_study(args.name, args.output_root, args.storage)
    rows = ranking.rows(found.study, found.finals)
    top = None if args.top is None else max(1, args.top)
    if args.json:
        print(json.dumps(leaderboard.as_json(found.study, rows[:top]), indent=2, ensure_ascii=False, allow_nan=False))
    elif args.csv:
        print(leaderboard.as_csv(found.study, rows[:top]), end="")
    else:
        leaderboard.show(found.study, rows, top=top)
        if equals := results.as_good(found.study, rows):
            print(f"As good as the best: {equals}.")
        dashboard = found.dashboard()
        more = {"dashboard": dashboard} if dashboard is not None else {}
        leaderboard.show_pairs("", results.next_steps(found.study, rows) | more)
    if args.plots is not None:
        _plots(args, found.study)


def _list(args: argparse.Namespace) -> None:
    """List the studies: how many trials each has, and its best."""
    from lorasweep.review import leaderboard
    from lorasweep.search import lookup, ranking

    places = lookup.study_urls(args.output_root, args.storage)
    if not places:
        raise UserError(
            f"{args.storage or args.output_root / 'studies'} holds no study: "
            f"start one with {program.command()} -m hydra/sweeper=optuna, or give --output-root or --storage",
            title="There is nothing to list",
        )
    lines = {}
    for name in places:
        found = lookup.find_study(name, args.output_root, args.storage)
        rows = ranking.rows(found.study, found.finals)
        lines[name] = leaderboard.summary(rows)
    leaderboard.show_pairs("studies", lines)


def _plots(args: argparse.Namespace, study: optuna.Study) -> None:
    from lorasweep.review import plots

    # What the program prints as JSON or CSV must stay that alone.
    out = sys.stderr if args.json or args.csv else sys.stdout
    try:
        report = plots.draw_plots(study, args.plots)
    except OSError as error:
        raise UserError(f"{args.plots} cannot be written ({error.strerror})", title="Nothing was drawn") from error
    for path in report.files:
        print(f"wrote {path}", file=out)
    for name, reason in report.left_out.items():
        print(f"left out {name}: {reason}", file=out)
