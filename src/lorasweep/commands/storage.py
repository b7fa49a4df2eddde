"""`lorasweep storage`: a study's storage, served to other machines."""

from __future__ import annotations

import argparse
from typing import Any

from lorasweep.errors import UserError


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser("storage", help="serve a study's storage to other machines as grpc://HOST:PORT")
    parser.add_argument("url", metavar="URL", help="journal:///study.log, sqlite:///study.db, postgresql://...")
    parser.add_argument(
        "--host", default="localhost", help="address to listen on; 0.0.0.0 for all (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=13000, help="1 to 65535 (default: %(default)s)")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Serve a storage until interrupted.

    Raises:
        UserError: it cannot be opened, or the address cannot be listened on.
    """
    from lorasweep.search import storage

    if not 1 <= args.port <= 65535:
        raise UserError(f"--port {args.port}: expected 1 to 65535", title="The storage cannot be served")

    def ready() -> None:
        print(f"serving {storage.redacted(args.url)} as grpc://{args.host}:{args.port} (Ctrl-C ends it)", flush=True)

    storage.serve_storage(args.url, args.host, args.port, ready)
