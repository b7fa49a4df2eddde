"""Colours of a study's plots: of states, and of values, the better the darker."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

# By state, as Optuna's timeline has them.
COLOURS = {"complete": "#1f77b4", "pruned": "#ff7f0e", "failed": "#d62728", "running": "#2ca02c"}
REACH = 3.0  # times the distance of the median from the best that an axis or a scale shows at least


@dataclass(frozen=True)
class Scale:
    """What the colours of an objective mean: the same in every panel, the better the darker.

    Attributes:
        objective: its name.
        maximize: whether the highest is best.
        values: of the complete trials.
    """

    objective: str
    maximize: bool
    values: Sequence[float]

    def mappable(self) -> ScalarMappable:
        """Return colours by value; what is far worse than the rest has the colour of the end."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return ScalarMappable(Normalize(*usual(self.values, self.maximize)), better_is_dark(self.maximize))


def usual(values: Sequence[float], maximize: bool) -> tuple[float, float]:
    """Return the range of values that is worth an axis: from the best to what is not absurdly worse.

    Args:
        values: at least one, all finite.
        maximize: whether the highest is best.
    """
    best = max(values) if maximize else min(values)
    worst = min(values) if maximize else max(values)
    limit = REACH * abs(statistics.median(values) - best)
    if limit and abs(worst - best) > 2 * limit:
        worst = best - limit if maximize else best + limit
    return min(best, worst), max(best, worst)


def better_is_dark(maximize: bool) -> Any:
    """Return a colour map in which the better values are the darker ones, without what cannot be seen on white."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    name = "viridis_r" if maximize else "viridis"
    samples = [0.12 + 0.88 * index / 255 if maximize else 0.88 * index / 255 for index in range(256)]
    return ListedColormap(colormaps[name](samples))
