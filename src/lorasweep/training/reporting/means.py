"""Means of what steps measure: over the steps since the last logged row, and over the epoch.

Both go on where they stood when a version is resumed, and neither looks at the other: what an epoch's loss is must not
depend on how often it is logged, nor on where the run was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NORM, SKIPPED = "train/grad_norm", "train/skipped"
ROW = ("train/loss", NORM, "time/seconds_per_step", SKIPPED)


class StepMeans:
    """Sums over steps, as they are taken one after the other.

    Args:
        state: where an earlier process stood, as `state` gave it; empty at the beginning.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        row = state.get("row", [])
        self._row: list[float] = [*row, *[0.0] * (len(ROW) - len(row))]
        self._row_steps: int = state.get("row_steps", 0)
        self._epoch_loss: float = state.get("epoch_loss", 0.0)
        self._epoch_steps: int = state.get("epoch_steps", 0)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, as JSON takes it."""
        return {
            "row": self._row,
            "row_steps": self._row_steps,
            "epoch_loss": self._epoch_loss,
            "epoch_steps": self._epoch_steps,
        }

    def add(self, loss: float, grad_norm: float, seconds: float, *, skipped: bool = False) -> None:
        """Take in one optimizer step; one that was skipped has no norm, as it overflowed."""
        values = loss, 0.0 if skipped else grad_norm, seconds, float(skipped)
        self._row = [total + value for total, value in zip(self._row, values, strict=True)]
        self._row_steps += 1
        self._epoch_loss += loss
        self._epoch_steps += 1

    def take_row(self) -> dict[str, float]:
        """Return the means over the steps since this was called last, at least one, by their metrics' names.

        `train/skipped` is the share of steps that were skipped; without the others `train/grad_norm` is NaN.
        """
        sums = dict(zip(ROW, self._row, strict=True))
        means = {name: total / self._row_steps for name, total in sums.items()}
        taken = self._row_steps - sums[SKIPPED]
        means[NORM] = sums[NORM] / taken if taken else math.nan
        self._row, self._row_steps = [0.0] * len(ROW), 0
        return means

    def begin_epoch(self) -> None:
        """Leave the epoch that is over behind."""
        self._epoch_loss, self._epoch_steps = 0.0, 0

    def epoch_loss(self) -> float:
        """Return the mean loss of the epoch's steps so far, at least one."""
        return self._epoch_loss / self._epoch_steps
