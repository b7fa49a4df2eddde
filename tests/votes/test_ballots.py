"""votes.jsonl: what is said is on the disk, what is taken back is gone, half a line hurts nobody."""

from __future__ import annotations

from pathlib import Path

from lorasweep.votes import ballots
from lorasweep.votes.ballots import Pair

PAIR = Pair("bear/v1@1", "bear/v2@1", "a bear\x1f0")


def test_votes_are_read_as_they_were_given(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "s" / "votes.jsonl"
    assert ballots.read_votes(path) == []
    first = ballots.store_vote(path, PAIR, "left")
    second = ballots.store_vote(path, PAIR.swapped, "tie", repeats=True)
    assert ballots.read_votes(path) == [first, second]
    assert [vote.winner for vote in ballots.read_votes(path)] == ["bear/v1@1", None]


def test_an_undo_adds_a_line_and_takes_the_last_vote(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    first, second = ballots.store_vote(path, PAIR, "left"), ballots.store_vote(path, PAIR, "skip")
    before = path.read_bytes()
    assert ballots.undo_last(path, ballots.read_votes(path)) == second
    assert path.read_bytes().startswith(before)
    assert ballots.read_votes(path) == [first]
    assert ballots.undo_last(path, ballots.read_votes(path)) == first
    assert ballots.undo_last(path, ballots.read_votes(path)) is None


def test_half_a_line_of_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    first = ballots.store_vote(path, PAIR, "left")
    with path.open("a") as stream:
        stream.write('{"pair": {"left": "bear')
    assert ballots.read_votes(path) == [first]
    second = ballots.store_vote(path, PAIR, "right")
    assert ballots.read_votes(path) == [first, second]
