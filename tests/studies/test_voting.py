"""objective=human: a trial waits for its votes, is worth what they say, and is not pruned."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from lorasweep.runs.record import Record
from lorasweep.studies import voting
from lorasweep.studies.voting import study_poll, voted_value
from lorasweep.votes import ballots
from lorasweep.votes.poll import Poll

from ..votes.made_versions import version


@pytest.fixture
def poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Poll:
    """A study of one trial and one of its repeats, and a version beside it."""
    monkeypatch.setattr(voting, "POLL_S", 0.01)
    root = tmp_path / "outputs"
    version(root, 1, study="bears")
    version(root, 2, study="bears:finals")
    version(root, 3)
    return study_poll(root, "bears")


def answer(poll: Poll, best: str) -> None:
    """Answer one question as somebody who prefers one version, and else the base."""
    number, question = poll.question()
    assert question is not None
    wanted = next((side for side in ("left", "right") if best in getattr(question.pair, side)), None)
    other = next((side for side in ("left", "right") if "base" in getattr(question.pair, side)), "left")
    choice: Any = wanted or other
    poll.vote(number, choice)


def test_repeats_are_voted_on_with_their_study(poll: Poll, tmp_path: Path) -> None:
    assert [one.label for one in poll.contenders()] == ["the base", "Bear v1", "Bear v2"]
    assert study_poll(tmp_path / "outputs", "bears:finals").path == poll.path


def test_a_trial_waits_for_its_votes_and_is_worth_its_lead_over_the_base(poll: Poll, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "bear" / "v1"
    found: list[float | None] = []
    waiting = threading.Thread(target=lambda: found.append(voted_value(poll, folder, 3)))
    voters = study_poll(tmp_path / "outputs", "bears")  # another process
    waiting.start()
    for _ in range(20):
        if sum("v1" in str(vote.pair) for vote in voters.votes) >= 3:
            break
        assert waiting.is_alive()
        answer(voters, "bear/v1")
    waiting.join(5)
    assert found and found[0] is not None and found[0] > 0
    assert Record.read(folder).objective.value == found[0]


def test_who_waits_for_none_takes_what_there_is(poll: Poll, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "bear" / "v1"
    assert voted_value(poll, folder, 0) == pytest.approx(0)
    for _ in range(3):
        answer(poll, "bear/v2")
    assert voted_value(poll, folder, 0) != pytest.approx(0)


def test_nobody_waits_once_every_pair_was_shown(poll: Poll, tmp_path: Path) -> None:
    """Two prompts, three contenders: six pairs; ten votes on one version will never be."""
    while poll.question()[1] is not None:
        answer(poll, "bear/v2")
    value = voted_value(poll, tmp_path / "outputs" / "bear" / "v2", 1000)
    assert value is not None and value > 0


def test_a_version_without_pictures_has_no_value(poll: Poll, tmp_path: Path) -> None:
    assert voted_value(poll, tmp_path / "outputs" / "bear" / "v3", 1) is None  # of another study
    assert ballots.read_votes(poll.path) == []
