"""Which pairs are asked: informative ones first, each once, sides in balance, some again the other way round."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

from lorasweep.votes.ballots import Choice, Pair, Vote
from lorasweep.votes.contenders import Contender
from lorasweep.votes.questions import REPEAT_AFTER, REPEAT_EVERY, next_question

CELLS = ["bear\x1f0", "bear\x1f1", "dog\x1f0"]


def contender(key: str, cells: list[str] = CELLS) -> Contender:
    return Contender(key, key, {cell: Path(key, cell) for cell in cells})


def answered(contenders: list[Contender], choice: Choice = "left", limit: int = 1000) -> list[Vote]:
    """Answer questions until there are none left."""
    votes: list[Vote] = []
    while len(votes) < limit and (question := next_question(contenders, votes)) is not None:
        votes.append(Vote(question.pair, choice, question.repeats, mark=str(len(votes))))
    return votes


def test_every_pair_of_pictures_is_shown_once_but_for_the_repeated_ones() -> None:
    contenders = [contender(key) for key in "abc"]
    votes = answered(contenders)
    first = [(vote.pair.sides, vote.pair.cell) for vote in votes if not vote.repeats]
    assert len(first) == len(set(first)) == 3 * len(CELLS)
    assert {sides for sides, _ in first} == {frozenset(pair) for pair in combinations("abc", 2)}


def test_repeated_pairs_are_the_same_the_other_way_round_some_questions_later() -> None:
    votes = answered([contender(key) for key in "abcd"])
    again = [(index, vote) for index, vote in enumerate(votes) if vote.repeats]
    assert [index + 1 for index, _ in again] == [REPEAT_EVERY * (i + 1) for i in range(len(again))] and len(again) >= 3
    for index, vote in again:
        before = [i for i, other in enumerate(votes[:index]) if other.pair == vote.pair.swapped]
        assert len(before) == 1 and index - before[0] > REPEAT_AFTER


def test_sides_and_prompts_are_in_balance() -> None:
    votes = [vote for vote in answered([contender(key) for key in "abcd"], limit=17) if not vote.repeats]
    for key in "abcd":
        left, right = (sum(getattr(vote.pair, side) == key for vote in votes) for side in ("left", "right"))
        assert abs(left - right) <= 2
    cells = Counter(vote.pair.cell for vote in votes)
    assert max(cells.values()) - min(cells.values()) <= 2


def test_what_is_known_is_asked_last() -> None:
    """a beat b ten times; what nobody was asked yet says more."""
    many = [f"bear\x1f{seed}" for seed in range(30)]
    contenders = [contender(key, many) for key in "abc"]
    votes = [Vote(Pair("a", "b", cell), "left") for cell in many[:10]]
    question = next_question(contenders, votes)
    assert question is not None and "c" in question.pair.sides


def test_only_pictures_of_the_same_cell_are_compared() -> None:
    there = [contender("a", ["bear\x1f0"]), contender("b", ["bear\x1f0", "dog\x1f0"]), contender("c", ["dog\x1f0"])]
    asked = {(vote.pair.sides, vote.pair.cell) for vote in answered(there)}
    assert asked == {(frozenset("ab"), "bear\x1f0"), (frozenset("bc"), "dog\x1f0")}


def test_the_same_votes_lead_to_the_same_question() -> None:
    contenders = [contender(key) for key in "abc"]
    votes = answered(contenders, limit=4)
    assert next_question(contenders, votes) == next_question(contenders, list(votes))
    assert next_question(contenders[:1], []) is None
