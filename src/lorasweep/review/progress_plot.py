"""The objective of every trial in order, with those that were pruned or failed: a plot of our own.

Optuna's shows complete trials only, and a single bad value presses all others flat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from lorasweep.pictures.canvas import FAINT, INK
from lorasweep.review.colours import COLOURS, usual
from lorasweep.text.values import score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 24  # trials up to which each has its version below its number


def draw_progress(
    trials: Sequence[FrozenTrial], index: int, objective: str, maximize: bool, names: Mapping[int, str]
) -> Axes:
    """Draw a study's trials in order: complete, pruned (at their last report) and failed ones, and the best so far.

    Values far worse than the others stand at the edge, with an arrow; how many and how far is said below the title.

    Args:
        trials: of the study.
        index: of the objective.
        objective: its name.
        maximize: whether the highest is best.
        names: how trials are called, by number.
    """
    import matplotlib.pyplot as plt

    axes = plt.subplots()[1]
    complete = {t.number: t.values[index] for t in trials if t.state == TrialState.COMPLETE and t.values}
    pruned = {
        t.number: t.intermediate_values[t.last_step]
        for t in trials
        if t.state == TrialState.PRUNED and t.last_step is not None and index == 0
    }
    low, high = usual([*complete.values(), *pruned.values()], maximize)
    room = 0.06 * (high - low) or 0.06 * abs(high) or 0.06
    far: list[float] = []

    def at(value: float) -> float:
        """Return where a value is drawn: at the edge if it is beyond the axis."""
        if low <= value <= high:
            return value
        far.append(value)
        return high + room / 2 if value > high else low - room / 2

    styles: dict[str, dict[str, Any]] = {
        "complete": {"marker": "o", "color": COLOURS["complete"], "zorder": 3},
        "pruned (last report)": {"marker": "o", "facecolors": "white", "edgecolors": COLOURS["pruned"], "zorder": 2},
    }
    for (label, style), values in zip(styles.items(), (complete, pruned), strict=True):
        if values:
            axes.scatter(list(values), [at(value) for value in values.values()], s=36, label=label, **style)
    failed = [t.number for t in trials if t.state == TrialState.FAIL]
    if failed:
        bottom = [low - room * 0.8] * len(failed)
        axes.scatter(failed, bottom, marker="x", s=30, color=COLOURS["failed"], label="failed", zorder=2)
    _draw_best(axes, complete, maximize, names)
    axes.set_ylim(low - 1.2 * room, high + 1.2 * room)
    if far:
        extreme = min(far) if maximize else max(far)
        words = f"{len(far)} beyond the axis, as far as {score(extreme)}, at its edge"
        axes.annotate(words, (0.005, 0.99), xycoords="axes fraction", va="top", fontsize=9, color=FAINT)
    axes.set(xlabel="trial", ylabel=objective)
    numbers = [t.number for t in trials]
    if len(numbers) <= NAMED:
        axes.set_xticks(numbers, [_tick(number, names) for number in numbers])
    return axes


def _draw_best(axes: Axes, complete: Mapping[int, float], maximize: bool, names: Mapping[int, str]) -> None:
    """Draw the best value so far as steps, and name the trial that holds it."""
    if not complete:
        return
    steps, best = sorted(complete), -math.inf if maximize else math.inf
    line = [best := (max if maximize else min)(best, complete[number]) for number in steps]
    axes.step(
        steps, line, where="post", color=COLOURS["failed"], alpha=0.55, linewidth=1.6, label="best so far", zorder=1
    )
    winner = (max if maximize else min)(complete, key=complete.__getitem__)
    axes.annotate(
        names.get(winner, f"trial {winner}"),
        (winner, complete[winner]),
        xytext=(0, 9 if maximize else -9),
        textcoords="offset points",
        ha="center",
        va="bottom" if maximize else "top",
        fontsize=9,
        fontweight="bold",
        color=INK,
        zorder=4,
    )


def _tick(number: int, names: Mapping[int, str]) -> str:
    return f"{number}\n{names[number].split()[-1]}" if number in names else str(number)
