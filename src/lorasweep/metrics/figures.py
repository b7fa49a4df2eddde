"""What an image metric returns, and its flat names in records and trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lorasweep.metrics.evidence import Evidence, SampleImage
from lorasweep.metrics.intervals import Estimate, Statistic, Table, difference, mean, with_interval


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured.

    Attributes:
        value: of the version.
        n: samples that it is taken over.
        base: of the bare base, on the same prompts and seeds; None where that is measured itself.
        delta: the version's value less the base's, paired, and how sure that is.
        scores: of single samples, by their indices; empty where a sample alone has none.
        base_scores: of the base's.
        more: further figures: the end of the name -> the figure.
        words: what else there is to say.
    """

    value: Estimate
    n: int
    base: float | None = None
    delta: Estimate | None = None
    scores: Mapping[int, float] = field(default_factory=dict)
    base_scores: Mapping[int, float] = field(default_factory=dict)
    more: Mapping[str, float] = field(default_factory=dict)
    words: Sequence[str] = ()


def compared(
    evidence: Evidence,
    indices: Sequence[int],
    score: Callable[[Sequence[SampleImage]], Iterable[float]],
    statistic: Statistic = mean,
) -> Figures:
    """Return the figures of a metric that gives every sample a score of its own.

    Args:
        evidence: what is measured.
        indices: the samples that count, at least one.
        score: the scores of samples, in their order.
        statistic: what the figure is of all scores.
    """
    scores = dict(zip(indices, score([evidence.samples[index] for index in indices]), strict=True))
    table = evidence.table(scores)
    if not evidence.base:
        return Figures(value=with_interval(table, statistic), n=len(indices), scores=scores)
    base_scores = dict(zip(indices, score([evidence.base[index] for index in indices]), strict=True))
    bare = evidence.table(base_scores)
    base = float(statistic(bare))
    return Figures(
        value=with_interval(table, statistic),
        n=len(indices),
        base=base,
        delta=difference(table, bare, statistic),
        scores=scores,
        base_scores=base_scores,
    )


def compared_by_prompt(evidence: Evidence, score: Callable[[Sequence[SampleImage]], float]) -> Figures | None:
    """Return the figures of a metric that compares the called samples of a prompt with each other.

    Its interval is over prompts alone: a seed that the bootstrap draws twice would be compared with itself.

    Args:
        evidence: what is measured.
        score: of the samples of one prompt, two or more.

    Returns:
        None where no prompt that calls the concept has two samples.
    """
    groups = [indices for indices in evidence.by_prompt(evidence.called).values() if len(indices) > 1]
    if not groups:
        return None

    def column(samples: Sequence[SampleImage]) -> Table:
        return np.array([[score([samples[index] for index in indices])] for indices in groups])

    table, count = column(evidence.samples), sum(map(len, groups))
    if not evidence.base:
        return Figures(value=with_interval(table), n=count)
    bare = column(evidence.base)
    return Figures(value=with_interval(table), n=count, base=float(mean(bare)), delta=difference(table, bare))


@dataclass(frozen=True)
class Reading:
    """One metric of one feature model.

    Attributes:
        metric: its name, such as `image/fidelity`.
        model: the feature model's name.
        first: whether it is the first model that can measure this metric: its figures have the metric's plain name.
        figures: what was measured.
    """

    metric: str
    model: str
    first: bool
    figures: Figures


def flat(readings: Iterable[Reading]) -> dict[str, float]:
    """Return figures by their names in records and trackers.

    `image/fidelity`, `image/fidelity_low` and `_high` are the value and its interval, `image/fidelity_delta`,
    `_delta_low` and `_delta_high` the difference to the base, `image/fidelity_n` the number of samples. A further
    model's name stands behind: `image/fidelity_delta-dinov2`.
    """
    found: dict[str, float] = {}
    for reading in readings:
        behind = "" if reading.first else f"-{reading.model}"
        found |= {f"{reading.metric}{end}{behind}": value for end, value in _ends(reading.figures)}
    return found


def _ends(figures: Figures) -> Iterable[tuple[str, float]]:
    """Yield the ends of the names, each with its figure."""
    for end, each in (("", figures.value), ("_delta", figures.delta)):
        if each is not None:
            yield end, each.value
            if each.low is not None and each.high is not None:
                yield f"{end}_low", each.low
                yield f"{end}_high", each.high
    yield "_n", float(figures.n)
    yield from ((f"_{end}", value) for end, value in figures.more.items())
