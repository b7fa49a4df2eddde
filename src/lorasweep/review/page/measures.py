"""Metrics by name -> measures with interval and distance from the base; labels come from the registry.

Names are those of `metrics.figures.flat`: `image/fidelity_delta_low-dinov2` belongs to `image/fidelity-dinov2`. What an
evaluation measured has a name of its own on the page, for it was measured on other pictures than the training's.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping

from lorasweep.review.page.model import MetricInfo, PageMeasure
from lorasweep.runs.record import Evaluation, Record
from lorasweep.schema.measures import METRICS

EVALUATED = "evaluated "
"""What the names of measures begin with that an evaluation took."""
ENDS = ("_low", "_high", "_delta", "_delta_low", "_delta_high", "_n")
"""Ends of names that belong to another metric: its interval, its distance from the base, its number of samples."""


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
    listed = list(metrics)
    names = set(listed)
    return [name for name in listed if not _belongs(name, names)]


def comparable(records: Iterable[Record]) -> str:
    """Return the settings that most versions were evaluated under, as JSON; "" where none was.

    Of settings of equally many versions the latest.
    """
    latest: dict[str, str] = {}
    count: Counter[str] = Counter()
    for record in records:
        found = {_key(each): each.finished for each in record.evaluations if _is_whole(each, record)}
        count.update(found.keys())
        latest |= {key: max(finished, latest.get(key, "")) for key, finished in found.items()}
    return max(count, key=lambda key: (count[key], latest[key]), default="")


def selected_evaluation(record: Record, settings: str) -> Evaluation | None:
    """Return the latest evaluation of a version's selected epoch at full strength under these settings.

    Args:
        record: of the version.
        settings: as `comparable` returns them.
    """
    found = [each for each in record.evaluations if _is_whole(each, record) and _key(each) == settings]
    return found[-1] if found else None


def evaluated(evaluation: Evaluation) -> dict[str, PageMeasure]:
    """Return the measures of an evaluation by their names on the page."""
    found = page_measures(evaluation.metrics, evaluation.base)
    return {EVALUATED + name: measure for name, measure in found.items()}


def infos(names: Iterable[str]) -> list[MetricInfo]:
    """Return what is known of metrics: in the registry's order, then those that are in none by their names."""
    known = list(METRICS)

    def order(name: str) -> tuple[int, str]:
        metric = _metric_of(name)
        return (known.index(metric) if metric in known else len(known), name)

    return [_info(name) for name in sorted(set(names), key=order)]


def _info(name: str) -> MetricInfo:
    plain = name.removeprefix(EVALUATED)
    metric = _metric_of(name)
    measure = METRICS.find(metric)
    label, more = (metric, plain.removeprefix(metric)) if measure is None else (measure.label, plain[len(metric) :])
    parts = [label, more.strip("_-").replace("_", " ") if more else "", "evaluated" if name != plain else ""]
    meaning = "" if measure is None else ". ".join(filter(None, [measure.meaning, measure.unit]))
    # Which way is better is known of a metric, whatever model it is by; not of its further figures, such as counts.
    same = measure is not None and not more.startswith("_")
    return MetricInfo(
        name,
        ", ".join(filter(None, parts)),
        meaning=meaning,
        direction=measure.direction if measure is not None and same else "",
        evaluated=name != plain,
    )


def _metric_of(name: str) -> str:
    """Return the registered metric that a name is of: the longest that it begins with; the name itself without any."""
    plain = name.removeprefix(EVALUATED)
    owners = [each for each in METRICS if plain == each or plain.startswith((f"{each}_", f"{each}-"))]
    return max(owners, key=len, default=plain)


def _one(name: str, metrics: Mapping[str, float], base: Mapping[str, float]) -> PageMeasure:
    stem, dash, model = name.partition("-")
    low, high, delta, delta_low, delta_high = (metrics.get(f"{stem}{end}{dash}{model}") for end in ENDS[:5])
    if delta is None and _is_finite(base.get(name)):
        delta = metrics[name] - base[name]
    return PageMeasure(metrics[name], low, high, delta, delta_low, delta_high)


def _belongs(name: str, names: set[str]) -> bool:
    stem, dash, model = name.partition("-")
    owners = (f"{stem.removesuffix(end)}{dash}{model}" for end in ENDS if stem.endswith(end))
    return "_bin_" in stem or any(owner in names for owner in owners)


def _is_whole(evaluation: Evaluation, record: Record) -> bool:
    """Return whether an evaluation is of what a version is known by: its selected epoch, at full strength."""
    return evaluation.strength == 1 and evaluation.epoch in (None, record.selected_epoch)


def _key(evaluation: Evaluation) -> str:
    return json.dumps(evaluation.settings, sort_keys=True)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
