"""Which epoch becomes the version's weights file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol


class MeasuredEpoch(Protocol):
    """What selection needs to know of an epoch."""

    @property
    def epoch(self) -> int: ...

    @property
    def metrics(self) -> Mapping[str, float]: ...


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
    values = [(entry.epoch, entry.metrics[metric]) for entry in epochs if metric in entry.metrics]
    finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
    if not finite:
        return epochs[-1].epoch, f"the last epoch: no epoch has a finite {metric}"
    sign = 1 if direction == "minimize" else -1
    epoch, value = min(finite, key=lambda pair: (sign * pair[1], pair[0]))
    word = "lowest" if direction == "minimize" else "highest"
    return epoch, f"{word} {metric}: {value:.4g}"
