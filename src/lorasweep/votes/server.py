"""The page of a poll on this machine: 127.0.0.1 only."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from lorasweep.votes.poll import Poll
from lorasweep.votes.requests import LONGEST, HttpRequest, respond

ADDRESS = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class PollServer(ThreadingHTTPServer):
    """Serves one poll.

    Args:
        poll: what is voted on.
        root: the folder that files may be sent from.
        port: where to listen; 0 takes a free one.

    Attributes:
        poll: likewise.
        root: likewise.
        hosts: the names under which it is called.
        turn: one request at a time reads and writes the votes.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, poll: Poll, root: Path, port: int) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.poll, self.root, self.turn = poll, root, Lock()
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in (ADDRESS, "localhost"))

    @property
    def url(self) -> str:
        """Return the address of its page."""
        return f"http://{ADDRESS}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: PollServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        self._answer(self.rfile.read(min(int(length), LONGEST + 1)) if length.isdigit() else b"")

    def _answer(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = HttpRequest(self.command, self.path.partition("?")[0], headers, body)
        with self.server.turn:
            response = respond(self.server.poll, request, self.server.hosts, self.server.root)
        self.send_response(response.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.kind)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is for what the user is told."""
