"""Which pair is shown next: the one whose answer is expected to say most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from lorasweep.randomness import random_for
from lorasweep.votes.ballots import Pair, Vote
from lorasweep.votes.contenders import Contender
from lorasweep.votes.strengths import strengths

REPEAT_EVERY = 6
"""Every so many questions an earlier pair is shown again, its sides swapped, to know how sure the voter is."""
REPEAT_AFTER = 3
"""Questions that lie between a pair and its repetition, at least, so that it is not remembered."""
SAME = 1e-3
"""Nats: pairs that differ by less in what a vote on them says count as the same."""


@dataclass(frozen=True)
class Question:
    """A pair that is to be judged.

    Attributes:
        pair: what is shown.
        repeats: whether it was shown before, the other way round.
    """

    pair: Pair
    repeats: bool = False


def next_question(contenders: Sequence[Contender], votes: Sequence[Vote], seed: int = 0) -> Question | None:
    """Return the next pair; None once every pair of pictures was shown.

    The answer depends on the arguments alone: after an undo, the same pair is shown again.

    Args:
        contenders: who is voted on.
        votes: given so far, in order.
        seed: of what is left to chance.
    """
    repeated = _repetition(contenders, votes)
    if repeated is not None and (len(votes) + 1) % REPEAT_EVERY == 0:
        return Question(repeated.swapped, repeats=True)
    unseen = open_cells(contenders, votes)
    if not unseen:
        return None
    chance = random_for(seed, "vote", len(votes))
    one, other = _most_informative(contenders, votes, list(unseen), chance.random())
    seen = Counter(vote.pair.cell for vote in votes)
    cells = unseen[one, other]
    fewest = min(seen[cell] for cell in cells)
    cell = chance.choice([cell for cell in cells if seen[cell] == fewest])
    return Question(_with_sides(Pair(one, other, cell), votes, swap=chance.random() < 0.5))


def open_cells(contenders: Sequence[Contender], votes: Sequence[Vote]) -> dict[tuple[str, str], list[str]]:
    """Return for every two contenders in which cells they were not shown yet; pairs without any are left out.

    Args:
        contenders: who is voted on.
        votes: given so far.
    """
    asked = {(vote.pair.sides, vote.pair.cell) for vote in votes}
    return {
        (one.key, other.key): cells
        for one, other in combinations(contenders, 2)
        if (cells := [cell for cell in one.pictures if cell in other.pictures and _new(one, other, cell, asked)])
    }


def _new(one: Contender, other: Contender, cell: str, asked: set[tuple[frozenset[str], str]]) -> bool:
    return (frozenset((one.key, other.key)), cell) not in asked


def _repetition(contenders: Sequence[Contender], votes: Sequence[Vote]) -> Pair | None:
    """Return the earliest pair that was judged once, some questions ago, and can still be shown."""
    times = Counter((vote.pair.sides, vote.pair.cell) for vote in votes)
    there = {contender.key: contender.pictures for contender in contenders}
    for vote in votes[: max(0, len(votes) - REPEAT_AFTER)]:
        pair = vote.pair
        known = all(pair.cell in there.get(key, ()) for key in pair.sides)
        if known and vote.choice != "skip" and times[pair.sides, pair.cell] == 1:
            return pair
    return None


def _most_informative(
    contenders: Sequence[Contender], votes: Sequence[Vote], pairs: Sequence[tuple[str, str]], chance: float
) -> tuple[str, str]:
    """Return the pair of which a vote says most; of those that say the same, one by chance (0 to 1)."""
    found = strengths([contender.key for contender in contenders], votes)
    information, place = found.information(), {key: index for index, key in enumerate(found.keys)}
    worth = {pair: float(information[place[pair[0]], place[pair[1]]]) for pair in pairs}
    most = max(worth.values())
    best = [pair for pair, value in worth.items() if value >= most - SAME]
    return best[int(chance * len(best))]


def _with_sides(pair: Pair, votes: Sequence[Vote], *, swap: bool) -> Pair:
    """Return a pair with its sides so that neither contender is on one side more often; by chance where both agree."""
    lefts = Counter(vote.pair.left for vote in votes)
    lefts.subtract(vote.pair.right for vote in votes)
    balance = lefts[pair.left] - lefts[pair.right]
    return pair.swapped if balance > 0 or (balance == 0 and swap) else pair
