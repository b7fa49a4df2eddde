"""How far a figure would move with other prompts and seeds: bootstrap intervals.

Prompts and seeds are crossed: every prompt is drawn with the same seeds, whose starting noise leaves its mark on all of
them. So both are drawn again, independently of each other (the pigeonhole bootstrap of Owen 2007, "The pigeonhole
bootstrap", Annals of Applied Statistics 1(2)), by `scipy.stats.bootstrap`.

An interval says how sure a figure of this one set of weights is. What another seed of the training would have made of
the same config is no part of it, and is often more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorasweep.randomness import seed_for

LEVEL = 0.95  # share of such intervals that hold the value of all prompts and seeds, if there are enough of both
DRAWS = 2000
_BATCH = 100  # draws side by side

Table = NDArray[np.float64]
"""(..., prompts, seeds)."""

Figure = NDArray[np.float64]
Indices = NDArray[np.int64]
Statistic = Callable[[Table], Figure]
"""A table (..., prompts, seeds) -> a figure (...)."""


@dataclass(frozen=True)
class Estimate:
    """A figure, and how far it would move.

    Attributes:
        value: the figure.
        low: lower end of its interval; None where there is too little to have one.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


def mean(table: Table) -> Figure:
    """Return the mean of a table over its prompts and seeds."""
    found: Figure = table.mean(axis=(-2, -1))
    return found


def with_interval(table: Table, statistic: Statistic = mean) -> Estimate:
    """Return the statistic of a table with its interval over prompts and seeds.

    Args:
        table: (prompts, seeds), at least one of each.
        statistic: of it. One that compares the seeds of a prompt with each other is to be given as a table of one
            column, its value for each prompt: a seed that is drawn twice would be compared with itself.

    Returns:
        The interval's ends are None where there is one prompt and one seed.
    """
    return _estimate(table.shape, lambda rows, columns: statistic(table[rows, columns]))


def difference(table: Table, base: Table, statistic: Statistic = mean) -> Estimate:
    """Return the statistic of a table less that of the base's, both always of the same prompts and seeds.

    Args:
        table: (prompts, seeds), at least one of each.
        base: likewise, of the base.
        statistic: as `with_interval` takes it.
    """
    return _estimate(
        table.shape, lambda rows, columns: statistic(table[rows, columns]) - statistic(base[rows, columns])
    )


def ratio(table: Table, other: Table) -> Estimate:
    """Return the mean of a table over that of another one, both always of the same prompts and seeds.

    Args:
        table: (prompts, seeds), at least one of each.
        other: likewise; its mean is to be clearly apart from 0, whatever prompts and seeds are drawn.
    """
    return _estimate(table.shape, lambda rows, columns: mean(table[rows, columns]) / mean(other[rows, columns]))


def _estimate(shape: tuple[int, ...], figure: Callable[[Indices, Indices], Figure]) -> Estimate:
    """Return a figure of some prompts and seeds: of all of them, and its interval.

    Args:
        shape: how many prompts and seeds there are.
        figure: (indices of prompts (..., prompts, 1), indices of seeds (..., 1, seeds)) -> the figure (...).
    """
    from scipy.stats import bootstrap

    everything = [np.arange(count) for count in shape]
    value = float(figure(everything[0][:, None], everything[1][None, :]))
    several = [indices for indices in everything if len(indices) > 1]
    if not several:
        return Estimate(value)

    def resampled(*samples: Indices, axis: int = -1) -> Figure:
        found, alone = iter(samples), np.zeros((*samples[0].shape[:-1], 1), dtype=np.int64)
        rows, columns = (next(found) if count > 1 else alone for count in shape)
        return figure(rows[..., :, None], columns[..., None, :])

    interval = bootstrap(
        several,
        resampled,
        n_resamples=DRAWS,
        batch=_BATCH,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed_for(0, "bootstrap of prompts and seeds")),
    ).confidence_interval
    return Estimate(value, float(interval.low), float(interval.high))
