"""What measures the versions of a config."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.metrics.images import ImageMeasuring
from lorasweep.metrics.metric import ImageMetric, Measuring, Metric
from lorasweep.schema import Config
from lorasweep.schema.goals import find_goal
from lorasweep.schema.measures import METRICS, Measure


def prepared(config: Config) -> list[Measuring]:
    """Return what measures a version of this config: all known metrics, and those of the user's own that it names.

    Args:
        config: a checked one.

    Raises:
        UserError: something that measures cannot be loaded.
    """
    metrics = dict(named_metrics(config))
    makers = dict.fromkeys(metric.prepare for metric in metrics.values() if isinstance(metric, Metric))
    measuring = [maker(config) for maker in makers if maker is not None]
    of_images = {name: metric for name, metric in metrics.items() if isinstance(metric, ImageMetric)}
    measuring.append(ImageMeasuring.of(config, of_images))
    return [each for each in measuring if each is not None]


def goal_metrics(config: Config) -> list[str]:
    """Return the names of the metrics that a config's objectives, and its choice of the epoch, are made of."""
    texts = [config.objective, *config.further_objectives, config.evaluation.select_by or ""]
    goals = [find_goal(text, config.allow_code) for text in texts]
    return list(dict.fromkeys(name for goal in goals if goal is not None for name in goal.metrics))


def named_metrics(config: Config) -> Iterator[tuple[str, Measure]]:
    """Yield all known metrics by their names, and those of the user's own that a config names and allows."""
    yield from ((name, METRICS[name]) for name in METRICS)
    for name in goal_metrics(config):
        if name not in METRICS and (found := METRICS.find(name, config.allow_code)):
            yield name, found
