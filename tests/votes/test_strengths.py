"""Strengths: known answers, intervals that hold what they promise, ties, repeated pairs."""

from __future__ import annotations

import math
import random
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from lorasweep.votes.ballots import Choice, Pair, Vote
from lorasweep.votes.strengths import SPREAD, leftward, pair_winners, self_agreement, strengths


def vote(left: str, right: str, choice: Choice, cell: str = "0", *, repeats: bool = False) -> Vote:
    return Vote(Pair(left, right, cell), choice, repeats)


def test_strengths_are_near_the_most_likely_ones() -> None:
    """Expectation propagation's mean against the mode that an optimizer finds; they are not the same, but close."""
    votes = [vote("a", "b", "left", str(i)) for i in range(12)] + [vote("b", "c", "left", str(i)) for i in range(9)]
    votes += [vote("a", "b", "right", str(i + 20)) for i in range(4)] + [
        vote("c", "b", "left", str(i + 20)) for i in range(3)
    ]

    def loss(x: np.ndarray) -> float:
        chance = [(12, x[0] - x[1]), (4, x[1] - x[0]), (9, x[1] - x[2]), (3, x[2] - x[1])]
        return float(sum(n * math.log1p(math.exp(-d)) for n, d in chance) + (x**2).sum() / (2 * SPREAD**2))

    mode = minimize(loss, np.zeros(3)).x
    found = strengths(["a", "b", "c"], votes)
    assert np.allclose(found.mean, mode, atol=0.1)
    assert found.of("a")[0] > found.of("b")[0] > found.of("c")[0]


def test_nobody_is_known_without_votes() -> None:
    found = strengths(["a", "b"], [])
    assert found.of("a") == pytest.approx((0, -1.96, 1.96))
    assert found.difference("a", "b") == pytest.approx((0, -1.96 * 2**0.5, 1.96 * 2**0.5))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw, inside = random.Random(1), []
    for _ in range(30):
        truth = {key: draw.gauss(0, SPREAD) for key in "abcd"}
        votes = []
        for index in range(24):
            left, right = draw.sample("abcd", 2)
            won = draw.random() < 1 / (1 + math.exp(truth[right] - truth[left]))
            votes.append(vote(left, right, "left" if won else "right", str(index)))
        found = strengths(list("abcd"), votes)
        for one, other in combinations("abcd", 2):
            _, low, high = found.difference(one, other)
            inside.append(low <= truth[one] - truth[other] <= high)
    assert 0.88 <= sum(inside) / len(inside) < 1


def test_a_pair_that_was_shown_twice_counts_once() -> None:
    alike = [vote("a", "b", "left"), vote("b", "a", "right", repeats=True)]
    unlike = [vote("a", "b", "left"), vote("b", "a", "left", repeats=True)]
    assert list(pair_winners(alike).values()) == ["a"] and list(pair_winners(unlike).values()) == [None]
    assert strengths("ab", alike).of("a") == strengths("ab", alike[:1]).of("a")
    assert strengths("ab", unlike).of("a")[0] == pytest.approx(0, abs=1e-6)
    assert self_agreement(alike) == (1, 1) and self_agreement(unlike) == (0, 1)
    assert self_agreement([vote("a", "b", "left"), vote("b", "a", "skip")]) == (0, 0)


def test_ties_draw_together_and_skips_say_nothing() -> None:
    tied = [vote("a", "b", "tie", str(i)) for i in range(10)]
    _, low, high = strengths("ab", tied).difference("a", "b")
    assert high - low < 2 * 1.96 and low == pytest.approx(-high)
    assert strengths("ab", [vote("a", "b", "skip")]).of("a") == strengths("ab", []).of("a")


def test_a_voter_who_always_says_left_is_seen() -> None:
    assert leftward([vote("a", "b", "left"), vote("b", "a", "left"), vote("a", "b", "tie")]) == (2, 2)
