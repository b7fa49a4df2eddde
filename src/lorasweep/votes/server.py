"""The page of a poll on this machine: 127.0.0.1 only."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from lorasweep.errors import UserError
from lorasweep.votes.poll import Poll
from lorasweep.votes.requests import LONGEST, HttpRequest, respond

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Server

ADDRESS = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def poll_server(poll: Poll, root: Path, port: int) -> Server:
    """Return a server of a poll's page, not running yet.

    Args:
        poll: what is voted on.
        root: the folder that files may be sent from.
        port: the one that it will be called at.
    """
    import uvicorn

    return uvicorn.Server(uvicorn.Config(_application(poll, root, port), log_level="warning"))


def serve_poll(poll: Poll, root: Path, port: int, ready: Callable[[str], None]) -> None:
    """Serve a poll's page until Ctrl-C.

    Args:
        poll: what is voted on.
        root: the folder that files may be sent from.
        port: 1 to 65535; 0 for any that is free.
        ready: called with the page's address once it can be opened.

    Raises:
        UserError: the port cannot be listened on.
    """
    try:
        listening = socket.create_server((ADDRESS, port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--port {port}: cannot be listened on ({error}); give another one, or 0 for any that is free",
            title="The page cannot be served",
        ) from None
    with listening:
        chosen = listening.getsockname()[1]
        ready(f"http://{ADDRESS}:{chosen}/")
        try:
            poll_server(poll, root, chosen).run(sockets=[listening])
        except KeyboardInterrupt:
            return


def _application(poll: Poll, root: Path, port: int) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response as Answer
    from starlette.routing import Route

    hosts = frozenset(f"{name}:{port}" for name in (ADDRESS, "localhost"))
    turn = Lock()  # one request at a time reads and writes the votes

    def answer(request: HttpRequest) -> Response:
        with turn:
            found = respond(poll, request, hosts, root)
        return Answer(found.body, found.status, HEADERS | {"Content-Type": found.kind})

    async def endpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:  # it is refused: the rest need not be read
                break
        own = HttpRequest(request.method, request.url.path, dict(request.headers), body)
        return await run_in_threadpool(answer, own)

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])
