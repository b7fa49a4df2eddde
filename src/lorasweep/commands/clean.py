"""`lorasweep clean`: what can go of the versions on the disk, and how much that frees."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.runs import ledger
from lorasweep.runs.cleaning import Rules, Surplus, remove, surplus_of
from lorasweep.schema import slug
from lorasweep.text.names import did_you_mean
from lorasweep.text.values import size


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "clean",
        help="free disk: weights files of epochs and states that are not needed; says first what would go",
        description="Says what would go and how much that frees; --yes removes it. What stays: the selected file, the "
        "record and the samples of every version, and all of what is being trained or can still be gone on with. A "
        "version without its state cannot be trained for longer.",
        epilog="example: lorasweep clean fuzzybear",
    )
    parser.add_argument("name", nargs="?", metavar="NAME|STUDY", help="only the versions of one LoRA or of one study")
    parser.add_argument("--yes", action="store_true", help="remove it")
    parser.add_argument(
        "--keep-epochs",
        type=int,
        default=1,
        metavar="N",
        help="keep the weights files of the last N epochs, besides the selected one's (default: %(default)s)",
    )
    parser.add_argument("--keep-states", action="store_true", help="keep the states of versions that have ended")
    parser.add_argument("--output-root", default="outputs", help="folder of all versions (default: %(default)s)")
    parser.add_argument("--storage", metavar="URL", help="where the studies are kept, if not in their own folders")
    parser.add_argument("--json", action="store_true", help="print what would go (or went) as JSON")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Say what can go, or remove it.

    Raises:
        UserError: there are no such versions.
    """
    if args.keep_epochs < 0:
        raise UserError(f"--keep-epochs {args.keep_epochs}: expected 0 or more", title="Nothing was removed")
    everything = ledger.versions(args.output_root)
    found = surplus_of(_chosen(everything, args), everything, _rules(args, everything))
    freed = {str(each.version.folder): each.size for each in found}
    gone = {str(each.version.folder): remove(each) for each in found if args.yes and each.paths}
    if args.json:
        print(json.dumps([_plain(each, freed, gone) for each in found], indent=2, ensure_ascii=False))
        return
    from lorasweep.console.lines import echo  # and with it rich

    for line in _lines(found, freed, gone):
        echo(line)
    total = sum(freed[folder] for folder, done in gone.items() if done) if args.yes else sum(freed.values())
    if args.yes:
        echo(f"removed {size(total)}")
    elif total or any(each.paths for each in found):
        echo(f"{size(total)} would be freed; nothing is removed yet: the same line with --yes does it")
    else:
        echo("nothing can go")


def _chosen(everything: Sequence[ledger.RecordedVersion], args: argparse.Namespace) -> list[ledger.RecordedVersion]:
    """Return the versions of a LoRA or of a study."""
    name = args.name
    found = [v for v in everything if name is None or slug(v.name) == slug(name) or name in _studies(v)]
    if found:
        return found
    known = list(dict.fromkeys(each for v in everything for each in (v.name, _study(v)) if each))
    there = f"there is {', '.join(known)}{did_you_mean(name or '', known)}" if known else "give --output-root"
    of_name = f" of {name}" if name else ""
    raise UserError(f"{args.output_root} holds no version{of_name}: {there}", title="There is nothing to clean")


def _rules(args: argparse.Namespace, versions: Sequence[ledger.RecordedVersion]) -> Rules:
    studies = {study for version in versions if (study := _study(version))}
    if not studies:
        return Rules(args.keep_epochs, args.keep_states)
    from lorasweep.search import lookup  # and with it Optuna

    return Rules(args.keep_epochs, args.keep_states, lookup.settled(studies, Path(args.output_root), args.storage))


def _study(version: ledger.RecordedVersion) -> str:
    return version.record.study


def _studies(version: ledger.RecordedVersion) -> tuple[str, ...]:
    """Return the study that a version is a trial of, with and without what marks a study of repeats and folds."""
    if not (study := _study(version)):
        return ()
    from lorasweep.search.study import FINALS  # and with it Optuna

    return study, study.removesuffix(FINALS)


def _lines(found: Sequence[Surplus], freed: dict[str, int], gone: dict[str, bool]) -> list[str]:
    """Return a line per version that loses something, or that is left alone."""
    lines = []
    for each in found:
        folder = str(each.version.folder)
        what = []
        if each.weights:
            what.append(f"{len(each.weights)} weights file{'s' if len(each.weights) > 1 else ''} of epochs")
        what += ["the state"] if each.state else []
        what += ["what a killed process left"] if each.leftovers else []
        left = each.left or ("it is being trained, or was in the meantime" if gone.get(folder) is False else "")
        if left:
            lines.append(f"{folder}: left alone, {left}")
        elif what:
            lines.append(f"{folder}: {', '.join(what)}, {size(freed[folder])}")
    return lines


def _plain(found: Surplus, freed: dict[str, int], gone: dict[str, bool]) -> dict[str, Any]:
    folder = str(found.version.folder)
    return {
        "folder": folder,
        "files": [str(path) for path in found.paths],
        "bytes": freed[folder],
        "removed": gone.get(folder, False),
        "left": found.left or None,
    }
