"""What the page asks, and what it is answered: a function, whatever server stands before it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lorasweep.votes.ballots import CHOICES
from lorasweep.votes.poll import Poll

ASSETS = {
    "/": ("vote.html", "text/html"),
    "/vote.js": ("vote.js", "text/javascript"),
    "/vote.css": ("vote.css", "text/css"),
}
LONGEST = 1000
"""Bytes of a request's body, at most."""


@dataclass(frozen=True)
class HttpRequest:
    """One request of a browser.

    Attributes:
        method: `GET` or `POST`.
        path: without the query.
        headers: by name, in lower case.
        body: of a POST.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """What it is answered.

    Attributes:
        status: of HTTP.
        kind: the content's media type.
        body: the content.
    """

    status: int
    kind: str
    body: bytes


def respond(poll: Poll, request: HttpRequest, hosts: frozenset[str], root: Path) -> Response:
    """Answer a request.

    Args:
        poll: what is voted on.
        request: of a browser.
        hosts: the names under which this server is called (`127.0.0.1:8765`); a page of another name, which a browser
            was led to think is here, is refused.
        root: the folder that files may be sent from.
    """
    if request.headers.get("host") not in hosts:
        return _refused(403, "this server answers to its own address only")
    if request.method == "GET":
        return _get(poll, request.path, root)
    if request.method != "POST":
        return _refused(405, "expected GET or POST")
    origin = request.headers.get("origin")
    if origin is not None and origin.removeprefix("http://") not in hosts:
        return _refused(403, "votes are given on this server's own page only")
    # No form of another page can send this kind without being asked for permission first, which is not given.
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return _refused(415, "expected application/json")
    return _post(poll, request)


def _get(poll: Poll, path: str, root: Path) -> Response:
    if path in ASSETS:
        name, kind = ASSETS[path]
        return Response(200, f"{kind}; charset=utf-8", (files(__package__) / "page" / name).read_bytes())
    if path == "/question":
        return _json(poll.state())
    if path == "/results":
        return _json(poll.results())
    if found := re.fullmatch(r"/picture/(\d+)/(left|right)", path):
        return _picture(poll.picture(int(found[1]), found[2]), root)
    if found := re.fullmatch(r"/reference/(\d{1,3})", path):
        return _picture(poll.reference(int(found[1])), root)
    return _refused(404, "there is no such page")


def _post(poll: Poll, request: HttpRequest) -> Response:
    if len(request.body) > LONGEST:
        return _refused(413, f"expected at most {LONGEST} bytes")
    try:
        given = json.loads(request.body or b"{}")
    except ValueError:
        return _refused(400, "expected JSON")
    if request.path == "/undo":
        return _json(poll.state()) if poll.undo() else _refused(409, "there is no vote to take back")
    if request.path != "/vote":
        return _refused(404, "there is no such page")
    if not isinstance(given, dict) or given.get("choice") not in CHOICES or not isinstance(given.get("number"), int):
        return _refused(400, f"expected a number and a choice: {', '.join(CHOICES)}")
    if not poll.vote(given["number"], given["choice"]):
        return _refused(409, "another pair is shown by now")
    return _json(poll.state())


def _picture(path: Path | None, root: Path) -> Response:
    if path is None or not path.is_file():
        return _refused(404, "there is no such picture")
    if not path.resolve().is_relative_to(root.resolve()):
        return _refused(403, "this file lies elsewhere")
    return Response(200, "image/png", path.read_bytes())


def _json(value: Any) -> Response:
    return Response(200, "application/json", json.dumps(value).encode())


def _refused(status: int, why: str) -> Response:
    return Response(status, "application/json", json.dumps({"refused": why}).encode())
