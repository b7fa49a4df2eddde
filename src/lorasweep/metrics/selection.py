"""Which epoch becomes the version's weights file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lorasweep.schema.goals import Goal


@dataclass(frozen=True)
class _Valued:
    """An epoch with the value of a goal."""

    epoch: int
    metrics: Mapping[str, float | None]


class MeasuredEpoch(Protocol):
    """What selection needs to know of an epoch."""

    @property
    def epoch(self) -> int: ...

    @property
    def metrics(self) -> Mapping[str, Any]: ...


def best_epoch_by(epochs: Sequence[MeasuredEpoch], goal: Goal) -> tuple[int, str]:
    """Return the epoch that a goal chooses, and the reason in words.

    Of those that keep the conditions it is the best; if none does, the one that breaks them least.

    Args:
        epochs: epochs that have a weights file, in order; at least one.
        goal: what they are chosen by.
    """
    limits = " and ".join(map(str, goal.conditions))
    kept = [entry for entry in epochs if goal.excess(entry.metrics) == 0]
    if not kept:
        nearest = min(epochs, key=lambda entry: (goal.excess(entry.metrics), -entry.epoch))
        if math.isinf(goal.excess(nearest.metrics)):
            return epochs[-1].epoch, f"the last epoch: no epoch was measured for {limits}"
        return nearest.epoch, f"no epoch has {limits}: the nearest to it"
    values = [_Valued(entry.epoch, {goal.sum_text: goal.value(entry.metrics)}) for entry in kept]
    epoch, reason = best_epoch(values, goal.sum_text, goal.direction)
    return epoch, f"{reason}, of those with {limits}" if goal.conditions else reason


def best_epoch(epochs: Sequence[MeasuredEpoch], metric: str, direction: str) -> tuple[int, str]:
    """Return the epoch with the best finite value of `metric`, and the reason in words.

    Of equal values the earlier epoch wins: it is less trained, so less likely to have overfitted. If no epoch
    has a finite value, the last one is returned.

    Args:
        epochs: epochs that have a weights file, in order; at least one.
        metric: a key of their metrics, such as val/loss_ratio.
        direction: minimize or maximize.

    Raises:
        ValueError: no epochs, or another direction.
    """
    if not epochs:
        raise ValueError("there is no epoch to choose from")
    if direction not in ("minimize", "maximize"):
        raise ValueError(f"direction is {direction!r}, expected minimize or maximize")
    values = [(entry.epoch, value) for entry in epochs if (value := entry.metrics.get(metric)) is not None]
    finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
    if not finite:
        return epochs[-1].epoch, f"the last epoch: no epoch has a finite {metric}"
    sign = 1 if direction == "minimize" else -1
    epoch, value = min(finite, key=lambda pair: (sign * pair[1], pair[0]))
    word = "lowest" if direction == "minimize" else "highest"
    return epoch, f"{word} {metric}: {value:.4g}"
