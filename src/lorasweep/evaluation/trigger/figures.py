"""From single scores of pictures to how much of the theme the trigger brings from each position, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorasweep.evaluation.trigger.positions import START
from lorasweep.metrics import intervals
from lorasweep.metrics.intervals import Estimate, Table
from lorasweep.runs.trigger_record import Interval, TriggerFigure


@dataclass(frozen=True)
class Scores:
    """How alike pictures and the theme's images are.

    Attributes:
        model: of the version's pictures: (prompts, seeds), as `table_of` gives them.
        base: of the base's at the same prompts and seeds, as a table of the same shape.
    """

    model: Table
    base: Table

    @property
    def delta(self) -> Table:
        """What the version adds."""
        added: Table = self.model - self.base
        return added


def table_of(rows: Sequence[int], values: Sequence[float]) -> Table:
    """Return values as a table, a row for each prompt and a column for each of its seeds.

    Where prompts have different numbers of seeds it is one column of all values.

    Args:
        rows: of each value: the index of its prompt.
        values: in the order of the seeds.
    """
    by_row: dict[int, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        by_row.setdefault(row, []).append(value)
    found = list(by_row.values())
    if len({len(row) for row in found}) > 1:
        found = [[value] for value in values]
    return np.array(found)


def figures_of(scores: Mapping[tuple[str, float], Scores]) -> Iterator[TriggerFigure]:
    """Yield the figure of each position and strength; the pictures are left to the caller.

    A share is the mean delta of a position over that of the trigger at the start at strength 1, prompt by prompt and
    seed by seed. Where that one's interval reaches down to 0 nothing can be a share of it, and there is none.

    Args:
        scores: by position and strength; the start at strength 1 is among them.
    """
    start = scores[START, 1.0].delta
    clear = _interval(intervals.with_interval(start)).above_zero
    for (position, strength), found in scores.items():
        delta = found.delta
        yield TriggerFigure(
            position=position,
            strength=strength,
            fidelity=float(intervals.mean(found.model)),
            base=float(intervals.mean(found.base)),
            delta=_interval(intervals.with_interval(delta)),
            behind=_interval(intervals.difference(start, delta)),
            share=_interval(intervals.ratio(delta, start)) if clear else None,
        )


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
