"""From votes to strengths with intervals, and how far the voter agrees with themselves.

The model is Bradley and Terry's: of a pair, the picture of `a` is preferred with probability
1 / (1 + exp(strength of b - strength of a)). Strengths are drawn from a normal distribution around 0 to begin with, so
that a single vote makes nobody infinitely strong; what the votes make of it is computed by expectation propagation
(Chu and Ghahramani 2005, Extensions of Gaussian processes for ranking), by the library choix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lorasweep.votes.ballots import Pair, Vote

SPREAD = 1.0
"""Standard deviation of the strengths before any vote: of two drawn so, the better one wins 73 of 100 pairs."""
TWO_SIDED_95 = 1.96


@dataclass(frozen=True)
class Strengths:
    """What votes say of how good each contender is.

    Attributes:
        keys: the contenders.
        mean: strength of each (n,), in log odds; 0 is the average contender.
        covariance: of the strengths (n, n).
    """

    keys: tuple[str, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def of(self, key: str) -> tuple[float, float, float]:
        """Return a contender's strength, and the ends of its 95 % interval."""
        index = self.keys.index(key)
        mean, half = float(self.mean[index]), TWO_SIDED_95 * math.sqrt(self.covariance[index, index])
        return mean, mean - half, mean + half

    def difference(self, one: str, other: str) -> tuple[float, float, float]:
        """Return by how much one is stronger than another, and the ends of the difference's 95 % interval."""
        i, j = self.keys.index(one), self.keys.index(other)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2 * self.covariance[i, j]
        mean, half = float(self.mean[i] - self.mean[j]), TWO_SIDED_95 * math.sqrt(max(0.0, float(variance)))
        return mean, mean - half, mean + half

    def information(self) -> NDArray[np.float64]:
        """Return how much a vote on each pair is expected to say (n, n), in nats; 0 on the diagonal.

        A vote's outcome has the variance p(1 - p); where the difference of two strengths has variance s, the vote is a
        measurement of it with that precision, and tells log(1 + p(1 - p) s) / 2.
        """
        variances = np.diag(self.covariance)
        spread = variances[:, None] + variances[None, :] - 2 * self.covariance
        chance = 1 / (1 + np.exp(self.mean[None, :] - self.mean[:, None]))
        found: NDArray[np.float64] = np.log1p(chance * (1 - chance) * np.maximum(spread, 0)) / 2
        return found


def strengths(keys: Sequence[str], votes: Sequence[Vote]) -> Strengths:
    """Return the strengths of contenders.

    A tie counts as a win of each: for a voter who can tell the smallest differences, that is the model of ties of Rao
    and Kupper (1967).

    Args:
        keys: the contenders.
        votes: on pairs of these, and maybe of others, which do not count.
    """
    place = {key: index for index, key in enumerate(keys)}
    outcomes = []
    for pair, winner in pair_winners(votes).items():
        if pair.left in place and pair.right in place:
            left, right = place[pair.left], place[pair.right]
            outcomes += [(left, right)] * (winner != pair.right) + [(right, left)] * (winner != pair.left)
    mean, covariance = _posterior(len(keys), outcomes)
    return Strengths(tuple(keys), mean, covariance)


def _posterior(count: int, outcomes: Sequence[tuple[int, int]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of the strengths of `count` contenders, given who won against whom.

    choix goes through the outcomes in an order that it draws from NumPy's global generator; here always in the same
    one, so that the same votes always come to the same strengths, and the generator is left as it was.
    """
    from choix import ep_pairwise

    before = np.random.get_state()
    np.random.seed(0)
    try:
        mean, covariance = ep_pairwise(count, outcomes, alpha=1 / SPREAD**2)
    finally:
        np.random.set_state(before)
    return mean, covariance


def pair_winners(votes: Sequence[Vote]) -> dict[Pair, str | None]:
    """Return who won each pair of pictures that was voted on: its key, or None of a tie. Skips are left out.

    A pair that was shown twice counts once: as it was judged if both judgements agree, else as a tie.

    Args:
        votes: in the order in which they were given.
    """
    judgements: dict[tuple[frozenset[str], str], list[Vote]] = {}
    for vote in votes:
        if vote.choice != "skip":
            judgements.setdefault((vote.pair.sides, vote.pair.cell), []).append(vote)
    return {
        given[0].pair: given[0].winner if len({vote.winner for vote in given}) == 1 else None
        for given in judgements.values()
    }


def self_agreement(votes: Sequence[Vote]) -> tuple[int, int]:
    """Return how many pairs that were shown twice were judged alike, and how many were shown twice.

    Args:
        votes: in the order in which they were given.
    """
    judgements: dict[tuple[frozenset[str], str], list[str | None]] = {}
    for vote in votes:
        if vote.choice != "skip":
            judgements.setdefault((vote.pair.sides, vote.pair.cell), []).append(vote.winner)
    twice = [first == second for winners in judgements.values() for first, second in pairwise(winners)]
    return sum(twice), len(twice)


def leftward(votes: Sequence[Vote]) -> tuple[int, int]:
    """Return how many votes went to the left, and how many to either side: about half, unless a side is favoured."""
    decided = [vote.choice for vote in votes if vote.choice in ("left", "right")]
    return decided.count("left"), len(decided)
