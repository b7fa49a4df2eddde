"""Metrics by name -> measures with interval and distance from the base; labels come from the registry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from lorasweep.review.page.model import MetricInfo, PageMeasure
from lorasweep.schema.measures import METRICS

PARTS = ("_low", "_high", "_delta")
"""Ends of names that belong to another metric: its interval, and its distance from the base."""


def page_measures(metrics: Mapping[str, float], base: Mapping[str, float]) -> dict[str, PageMeasure]:
    """Return the measures among an epoch's metrics, each with what belongs to it.

    Args:
        metrics: by name; what is not finite is left out.
        base: the base's.
    """
    finite = {name: value for name, value in metrics.items() if _is_finite(value)}
    return {name: _one(name, finite, base) for name in own_names(finite)}


def own_names(metrics: Iterable[str]) -> list[str]:
    """Return the names that are metrics of their own, without ends of intervals, distances and single bins."""
    names = list(metrics)
    return [name for name in names if not _belongs(name, names)]


def infos(names: Iterable[str]) -> list[MetricInfo]:
    """Return what is known of metrics: registered ones in the registry's order, then the others by their names."""
    found = set(names)
    known = [name for name in METRICS if name in found]
    return [_info(name) for name in [*known, *sorted(found - set(known))]]


def _info(name: str) -> MetricInfo:
    measure = METRICS.find(name)
    if measure is None:
        return MetricInfo(name, name)
    return MetricInfo(name, measure.label, measure.meaning, measure.direction)


def _one(name: str, metrics: Mapping[str, float], base: Mapping[str, float]) -> PageMeasure:
    low, high, delta = (metrics.get(name + part) for part in PARTS)
    if delta is None and _is_finite(base.get(name)):
        delta = metrics[name] - base[name]
    return PageMeasure(metrics[name], low, high, delta)


def _belongs(name: str, names: list[str]) -> bool:
    owner = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    return "_bin_" in name or (owner != name and owner in names)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
