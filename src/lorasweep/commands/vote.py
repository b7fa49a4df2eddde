"""`lorasweep vote`: which of two pictures is better, asked blind; what the votes say."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep.errors import UserError
from lorasweep.runs import ledger
from lorasweep.schema import slug
from lorasweep.text.names import did_you_mean

if TYPE_CHECKING:
    from lorasweep.votes.poll import Poll

PORT = 8765


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "vote",
        help="say which of two pictures is better, without knowing whose they are; see what the votes say",
        epilog="example: lorasweep vote fuzzybear-default; lorasweep vote fuzzybear --results",
    )
    parser.add_argument("name", help="a study, or a LoRA such as fuzzybear: all of its versions")
    parser.add_argument("--output-root", default="outputs", help="folder of all versions (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=PORT, help="of the page on this machine; 0: any (default: %(default)s)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--results", action="store_true", help="print what the votes say, and ask nothing")
    form.add_argument("--json", action="store_true", help="likewise, as JSON")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Serve the page of a poll until Ctrl-C, or print what the votes say.

    Raises:
        UserError: there is nothing to vote on, or the port is taken.
    """
    poll = _poll(args)
    if args.json:
        print(json.dumps(poll.results(), indent=2, ensure_ascii=False))
    elif args.results:
        _show(poll)
    else:
        _serve(poll, Path(args.output_root), args.port)


def _poll(args: argparse.Namespace) -> Poll:
    """Return the poll on a study, or on a LoRA.

    Raises:
        UserError: there is none of that name, or it has no two versions with pictures of the same prompts.
    """
    from lorasweep.studies.voting import study_poll
    from lorasweep.votes.places import study_of, votes_of_name
    from lorasweep.votes.poll import Poll

    root = args.output_root
    everything = ledger.versions(root)
    studies = dict.fromkeys(study_of(v.record.study) for v in everything if v.record.study)
    if args.name in studies:
        poll = study_poll(root, args.name)
    else:
        poll = Poll(args.name, votes_of_name(root, args.name), lambda: ledger.versions(root, args.name))
    title = "There is nothing to vote on"
    if args.name not in studies and not ledger.versions(root, args.name):
        known = [*studies, *dict.fromkeys(slug(v.name) for v in everything)]
        there = f"there is {', '.join(known)}{did_you_mean(args.name, known)}" if known else "it has no versions"
        raise UserError(f"{args.output_root} has no study or LoRA {args.name}: {there}", title=title)
    if not poll.votes and poll.question()[1] is None:
        raise UserError(
            f"{args.name}: no two versions have pictures of the same prompt and seed, drawn with the same settings: "
            "train another with the same sampling.prompts and sampling.seeds",
            title=title,
        )
    return poll


def _serve(poll: Poll, root: Path, port: int) -> None:
    from lorasweep.votes.server import serve_poll

    def ready(address: str) -> None:
        print(f"vote at {address} (Ctrl-C ends it; every vote is kept in {poll.path})", flush=True)

    serve_poll(poll, root, port, ready)
    _show(poll)


def _show(poll: Poll) -> None:
    from lorasweep.votes.table import result_lines

    print("\n".join(result_lines(poll.results())))
