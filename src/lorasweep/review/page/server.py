"""The review page of versions that are being trained: served on this machine only, told of every new epoch."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep.errors import UserError
from lorasweep.review.page.choice import Choice
from lorasweep.review.page.collect import collect
from lorasweep.review.page.payload import payload
from lorasweep.review.page.render import render

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Server

HOST = "127.0.0.1"
HOSTS = [HOST, "localhost"]
"""What a request may call this machine; another name is that of a web page that has itself resolved to this address."""
SERVED = {".png"}
"""Suffixes of files that are given out; weights and records are not."""
SECONDS = 1.0  # between two looks at the folders
PROTECTED = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Headers of every answer: other sites cannot embed what is served, and a picture that is drawn anew is asked for."""


def server(choice: Choice, seconds: float = SECONDS) -> Server:
    """Return a server of the page, not running yet.

    Args:
        choice: what the page is about.
        seconds: between two looks for news.
    """
    import uvicorn

    def ending() -> bool:
        return found.should_exit

    # A page that waits for news hears within `seconds` that the server ends; what takes longer is cut.
    settings = uvicorn.Config(
        _application(choice, seconds, ending), log_level="warning", timeout_graceful_shutdown=math.ceil(seconds) + 1
    )
    found = uvicorn.Server(settings)
    return found


def _application(choice: Choice, seconds: float, ending: Callable[[], bool]) -> Starlette:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    root = choice.root.resolve()

    # Those without `async` run in threads, so that a long look at many folders keeps nobody else waiting.
    def page(_: Request) -> Response:
        return HTMLResponse(render(_data(choice), [], live=True), headers=PROTECTED)

    def data(_: Request) -> Response:
        return JSONResponse(_data(choice), headers=PROTECTED)

    def file(request: Request) -> Response:
        found = (root / request.path_params["path"]).resolve()
        if not found.is_relative_to(root) or found.suffix not in SERVED or not found.is_file():
            return PlainTextResponse("not found", 404, headers=PROTECTED)
        return FileResponse(found, headers=PROTECTED)

    async def events(_: Request) -> Response:
        return StreamingResponse(_changes(choice, seconds, ending), media_type="text/event-stream", headers=PROTECTED)

    routes = [Route("/", page), Route("/data.json", data), Route("/events", events), Route("/files/{path:path}", file)]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
    return Starlette(routes=routes, middleware=[trusted])


def serve_page(choice: Choice, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        choice: what it is about.
        port: 1 to 65535; 0 for any that is free.
        ready: called with the page's address once it can be opened.

    Raises:
        UserError: the port cannot be listened on.
    """
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise UserError(
            f"--port {port} of {HOST} cannot be listened on ({error.strerror}): give another, or 0 for any free one",
            title="The page cannot be served",
        ) from None
    with listening:
        ready(f"http://{HOST}:{listening.getsockname()[1]}/")
        try:
            server(choice).run(sockets=[listening])
        except KeyboardInterrupt:
            return


def _data(choice: Choice) -> dict[str, Any]:
    """Return what the page shows now; its pictures and plots are fetched from this server."""
    page = collect(choice)
    root = choice.root.resolve()

    def address(file: Path) -> str:
        return "files/" + file.resolve().relative_to(root).as_posix()

    return payload(page, address, [address(plot.file) for plot in page.plots])


async def _changes(choice: Choice, seconds: float, ending: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield an event whenever a version of the choice has gone on, until the server ends."""
    import anyio

    seen = await anyio.to_thread.run_sync(_state, choice)
    yield "retry: 2000\n\n"
    while not ending():
        await anyio.sleep(seconds)
        now = await anyio.to_thread.run_sync(_state, choice)
        if now != seen:
            yield "event: change\ndata:\n\n"
        seen = now


def _state(choice: Choice) -> list[tuple[str, int]]:
    """Return what changes when a version goes on: the times of records and of folders of samples."""
    home = choice.root / (choice.lora or "*")
    places = [*home.parent.glob(f"{home.name}/v*/record.json"), *home.parent.glob(f"{home.name}/v*/samples")]
    found = []
    for place in places:
        try:
            found.append((str(place), place.stat().st_mtime_ns))
        except OSError:  # it was just removed
            continue
    return sorted(found)
