"""How often each metric prefers what people preferred."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorasweep.schema.measures import METRICS
from lorasweep.votes.ballots import Vote
from lorasweep.votes.contenders import Contender
from lorasweep.votes.strengths import TWO_SIDED_95, pair_winners


@dataclass(frozen=True)
class Agreement:
    """What one metric makes of the votes.

    Attributes:
        metric: its name.
        agrees: decided votes in which it prefers the same.
        decided: votes that were decided, by people and by the metric: its two values differ.
    """

    metric: str
    agrees: int
    decided: int

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share that agrees (Wilson 1927); votes on the same versions are not
        independent of each other, so the true one is wider."""
        n, z = self.decided, TWO_SIDED_95
        share = self.agrees / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        return middle - half, middle + half


def agreements(contenders: Sequence[Contender], votes: Sequence[Vote]) -> list[Agreement]:
    """Return the agreement of every known metric that was measured of both sides of a decided vote, the best first.

    Args:
        contenders: who was voted on.
        votes: in the order in which they were given.
    """
    measured = {contender.key: contender.metrics for contender in contenders}
    decided = [
        (measured[winner], measured[next(iter(pair.sides - {winner}))])
        for pair, winner in pair_winners(votes).items()
        if winner is not None and pair.sides <= measured.keys()
    ]
    found = [_agreement(name, decided) for name in METRICS]
    return sorted((one for one in found if one.decided), key=lambda one: -one.agrees / one.decided)


def _agreement(name: str, decided: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> Agreement:
    sign = 1 if METRICS[name].direction == "maximize" else -1
    pairs = [(sign * won[name], sign * lost[name]) for won, lost in decided if name in won and name in lost]
    clear = [won > lost for won, lost in pairs if won != lost and math.isfinite(won) and math.isfinite(lost)]
    return Agreement(name, sum(clear), len(clear))
