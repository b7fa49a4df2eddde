"""`lorasweep serve`: the review page of versions that are being trained, live."""

from __future__ import annotations

import argparse
from typing import Any

from lorasweep.commands.review import add_target
from lorasweep.errors import UserError

PORT = 8600


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "serve",
        help="show the review page live, while versions are trained (on this machine only)",
        epilog="example: lorasweep serve fuzzybear",
    )
    add_target(parser)
    parser.add_argument("--port", type=int, default=PORT, help="0 for any that is free (default: %(default)s)")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Serve the page until interrupted.

    Raises:
        UserError: there is nothing to show, or the port cannot be listened on.
    """
    from lorasweep.review.page.choice import choose
    from lorasweep.review.page.server import serve_page

    if not 0 <= args.port <= 65535:
        raise UserError(f"--port {args.port}: expected 0 to 65535", title="The page cannot be served")
    choice = choose(args.target, args.output_root)
    serve_page(choice, args.port, lambda address: print(f"the page is at {address} (Ctrl-C ends it)", flush=True))
