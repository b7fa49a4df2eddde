"""What the page asks: blind, stored at once, refused to others."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorasweep.runs import ledger
from lorasweep.votes import ballots
from lorasweep.votes.poll import Poll
from lorasweep.votes.requests import HttpRequest, Response, respond
from lorasweep.votes.server import ADDRESS, poll_server

HOST = "127.0.0.1:8765"
JSON = {"host": HOST, "content-type": "application/json"}


@pytest.fixture
def poll(root: Path) -> Poll:
    return Poll("bear", root / "bear" / "votes.jsonl", lambda: ledger.versions(root, "bear"))


def get(poll: Poll, path: str, root: Path | None = None, **headers: str) -> Response:
    root = root or poll.path.parents[1]
    return respond(poll, HttpRequest("GET", path, {"host": HOST} | headers), frozenset([HOST]), root)


def post(poll: Poll, path: str, value: Any = None, **headers: str) -> Response:
    body = json.dumps({} if value is None else value).encode()
    return respond(poll, HttpRequest("POST", path, JSON | headers, body), frozenset([HOST]), poll.path.parents[1])


def test_a_vote_is_on_the_disk_before_it_is_answered(poll: Poll) -> None:
    state = json.loads(get(poll, "/question").body)
    number, question = poll.question()
    assert question is not None and (state["number"], state["votes"]) == (number, 0) == (0, 0)
    answer = post(poll, "/vote", {"number": 0, "choice": "right"})
    assert json.loads(answer.body)["number"] == 1
    (vote,) = ballots.read_votes(poll.path)
    assert (vote.pair, vote.winner) == (question.pair, question.pair.right)


def test_nothing_on_the_page_says_whose_pictures_they_are(poll: Poll) -> None:
    shown = get(poll, "/question").body + get(poll, "/").body + get(poll, "/vote.js").body
    assert not any(word in shown.lower() for word in (b"v1", b"v2", b"base 0", b"@1", b"outputs"))
    _, question = poll.question()
    assert question is not None
    for side in ("left", "right"):
        picture = get(poll, f"/picture/0/{side}")
        key = getattr(question.pair, side)
        pixel = Image.open(next(c for c in poll.contenders() if c.key == key).pictures[question.pair.cell]).getpixel(
            (0, 0)
        )
        (poll.path.parent / "seen.png").write_bytes(picture.body)
        assert picture.kind == "image/png" and Image.open(poll.path.parent / "seen.png").getpixel((0, 0)) == pixel


def test_a_second_press_does_not_answer_the_next_question(poll: Poll) -> None:
    assert post(poll, "/vote", {"number": 0, "choice": "left"}).status == 200
    assert post(poll, "/vote", {"number": 0, "choice": "left"}).status == 409
    assert get(poll, "/picture/0/left").status == 404
    assert len(poll.votes) == 1


def test_undo_shows_the_same_pair_again(poll: Poll) -> None:
    _, first = poll.question()
    post(poll, "/vote", {"number": 0, "choice": "left"})
    assert json.loads(post(poll, "/undo").body)["number"] == 0
    assert poll.question() == (0, first) and poll.votes == []
    assert post(poll, "/undo").status == 409


def test_a_version_that_comes_in_does_not_change_what_is_shown(poll: Poll, root: Path) -> None:
    before = poll.question()
    for path in (root / "bear" / "v2").rglob("record.json"):
        path.unlink()
    assert poll.question() == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8765"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"origin": f"http://{HOST}"}, 200),
    ],
)
def test_votes_come_from_its_own_page_only(poll: Poll, headers: dict[str, str], status: int) -> None:
    assert post(poll, "/vote", {"number": 0, "choice": "left"}, **headers).status == status
    assert len(poll.votes) == (status == 200)


@pytest.mark.parametrize(
    "value", [{"number": 0}, {"number": "0", "choice": "left"}, {"number": 0, "choice": "v1"}, [], "x" * 2000]
)
def test_what_is_no_vote_is_refused(poll: Poll, value: Any) -> None:
    assert post(poll, "/vote", value).status in (400, 413)
    assert poll.votes == []


def test_files_are_sent_from_the_folder_of_versions_only(poll: Poll, root: Path) -> None:
    for path in ("/../../etc/passwd", "/picture/0/..%2f", "/picture/0/left/../../x", "/votes.jsonl", "/reference/0"):
        assert get(poll, path).status == 404
    _, question = poll.question()
    assert question is not None
    picture = poll.picture(0, "left")
    assert picture is not None
    secret = root.parent / "secret.png"
    picture.replace(secret)
    picture.symlink_to(secret)
    assert get(poll, "/picture/0/left").status == 403


def test_the_result_is_known_answers(poll: Poll) -> None:
    """A voter who prefers v2, then v1, whatever the side."""
    order = ["bear/v2@1", "bear/v1@1", "bear/v3@1", "base 01234567"]
    while (question := poll.question())[1] is not None:
        pair = question[1].pair
        better = min(pair.sides, key=order.index)
        post(poll, "/vote", {"number": question[0], "choice": "left" if pair.left == better else "right"})
    found = json.loads(get(poll, "/results").body)
    assert found["strengths"][0]["key"] == "bear/v2@1"
    assert found["self_agreement"]["repeated"] == found["self_agreement"]["agreed"] >= 1
    ratio = next(one for one in found["metrics"] if one["metric"] == "val/loss_ratio")
    # v2 against v1 and base, v1 against the base, two prompts each; v3's ratio is the base's: nothing to prefer
    assert (ratio["agrees"], ratio["decided"]) == (6, 6)


def test_the_server_answers_at_its_own_address(poll: Poll, root: Path) -> None:
    with socket.create_server((ADDRESS, 0)) as listening:
        port = listening.getsockname()[1]
        server = poll_server(poll, root, port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://{ADDRESS}:{port}/"
        try:
            with urllib.request.urlopen(url) as page:
                assert b"Which picture is better?" in page.read()
                assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(urllib.request.Request(url + "question", headers={"Host": "evil.example"}))
            vote = json.dumps({"number": 0, "choice": "tie"}).encode()
            with urllib.request.urlopen(
                urllib.request.Request(url + "vote", vote, {"Content-Type": "application/json"})
            ) as answer:
                assert json.load(answer)["votes"] == 1
        finally:
            server.should_exit = True
            thread.join()
