"""Loss curves of one version as a PNG, from the rows of metrics.jsonl."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep import files
from lorasweep.pictures.canvas import ACCENT, FAINT, INK, LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Row = Mapping[str, Any]
Series = tuple[list[float], list[float]]

TRAIN, ORANGE, VIOLET = "#3b6fb6", "#c2571a", "#7c3aed"
LABEL = 0.05  # height of a label as a share of its panel


def write_curves(
    rows: Sequence[Row],
    path: Path,
    *,
    title: str,
    parts: Mapping[str, str],
    selected_epoch: int | None = None,
    bin_edges: Sequence[int] | None = None,
) -> None:
    """Draw training loss, held-out ratio, its timestep bins and the learning rates, and write one PNG, atomically.

    What was not measured is left out; the rows of a repeated step count once, the last wins.

    Args:
        rows: rows of metrics.jsonl: `step`, `epoch` where known, and metrics by name.
        path: the PNG to write.
        title: the line above, such as `FuzzyBear v6`.
        parts: what may be trained -> what it is called; the denoiser first, then encoders of captions.
        selected_epoch: the epoch to mark.
        bin_edges: edges of the timestep bins, ascending, one more than there are bins; they name the bins.

    Raises:
        OSError: `path` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    loss, ratio = series(rows, "train/loss"), series(rows, "val/loss_ratio")
    bins = [series(rows, name) for name in _bin_names(rows)]
    rates = {label: series(rows, f"train/lr_{part}") for part, label in parts.items()}
    figure = Figure(figsize=(12.5, 7.2) if ratio[0] else (8, 6.2), dpi=110)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 0.92), h_pad=0.06))
    FigureCanvasAgg(figure)
    figure.text(0.02, 0.975, title, va="top", fontsize=15, fontweight="bold", color=INK)
    halves = figure.subfigures(1, 2 if ratio[0] else 1, squeeze=False, wspace=0.03)[0]

    last = max(1, *(row["step"] for row in rows)) if rows else 1
    selected = _step_of(rows, selected_epoch)
    upper, lower = _column(halves[0], (7, 3))
    _draw_loss(upper, loss)
    _draw_rates(lower, rates)
    if ratio[0]:
        panels = _column(halves[1], (1, 1) if bins else (1,))
        _draw_ratio(panels[0], ratio)
        if selected in ratio[0]:
            _mark(panels[0], selected, ratio[1][ratio[0].index(selected)], selected_epoch, late=selected > last / 2)
        if bins:
            _draw_bins(panels[1], bins, bin_edges)
    for half in halves:
        for axes in half.axes:
            axes.set_xlim(-0.01 * last, 1.015 * last)
            if selected is not None:
                axes.axvline(selected, color=ACCENT, linewidth=1.2, alpha=0.55, zorder=1)
    with files.writing(path) as temporary:
        figure.savefig(temporary, format="png")


def series(rows: Sequence[Row], name: str) -> Series:
    """Return steps and values of one metric, by step; values that are null or not finite are left out."""
    points = {row["step"]: row[name] for row in rows if name in row}
    kept = sorted((step, value) for step, value in points.items() if value is not None and math.isfinite(value))
    return [float(step) for step, _ in kept], [float(value) for _, value in kept]


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Return the exponential moving average of `values`, corrected for its start.

    Args:
        values: the raw values.
        weight: share of the past, 0 (no smoothing) to below 1.

    The k-th value is sum_i weight^(k-i) v_i / sum_i weight^(k-i): the bias correction of Adam (Kingma & Ba 2015,
    section 3), so the curve starts at the first value and not at 0.
    """
    result, total, mass = [], 0.0, 0.0
    for value in values:
        total, mass = weight * total + value, weight * mass + 1
        result.append(total / mass)
    return result


def _column(figure: SubFigure, heights: Sequence[int]) -> list[Axes]:
    """Return panels below each other with these relative heights, in the house's style; the lowest has the steps."""
    from matplotlib.ticker import MaxNLocator

    panels = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(LINE)
        axes.grid(True, axis="y", color=LINE, linewidth=0.7)
        axes.tick_params(colors=FAINT, labelsize=9, labelbottom=axes is panels[-1])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_axisbelow(True)
    panels[-1].set_xlabel("step", color=FAINT, fontsize=10)
    return panels


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=11, color=INK)


def _line(axes: Axes, points: Series, **style: Any) -> None:
    """Draw a line with small dots where there are few points, so that even one can be seen."""
    style = {"linewidth": 1.8, "marker": "o" if len(points[0]) <= 60 else None, "markersize": 3.5} | style
    axes.plot(*points, **style)


def _draw_loss(axes: Axes, loss: Series) -> None:
    steps, values = loss
    _heading(axes, "training loss (thin: as logged, thick: smoothed)")
    if not steps:
        return
    # The last tenth of the curve weighs most: enough to see the trend through the noise of the timesteps.
    smooth = smoothed(values, 1 - 1 / max(1.0, len(values) / 10))
    axes.plot(steps, values, color=TRAIN, alpha=0.28, linewidth=0.9)
    _line(axes, (steps, smooth), color=TRAIN, linewidth=2.2, markersize=2)
    # An explosion would press the rest of the curve flat, and so would an axis from 0.
    ordered = sorted(values)
    usual = ordered[math.floor(0.99 * (len(ordered) - 1))]
    low, high = min(*smooth, ordered[0]), ordered[-1] if ordered[-1] <= 3 * usual else usual
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1e-12
    axes.set_ylim(low - room, high + room)


def _draw_rates(axes: Axes, rates: Mapping[str, Series]) -> None:
    """Draw the rates on a logarithmic axis where they lie far apart: on another one the lower ones are a flat line."""
    visible = {label: points for label, points in _merged(rates).items() if any(points[1])}
    peaks = [max(points[1]) for points in visible.values()]
    far = bool(peaks) and max(peaks) > 3 * min(peaks)
    _heading(axes, f"learning rate{', logarithmic' if far else ''}")
    if far:
        axes.set_yscale("log")
        axes.set_ylim(min(peaks) / 30, max(peaks) * 1.6)  # a rate that decays to 0 leaves through the bottom
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        axes.set_ylim(bottom=0)
    for (label, points), style, colour in zip(visible.items(), ("-", "--", ":"), (TRAIN, ORANGE, VIOLET), strict=False):
        positive = [(step, value) for step, value in zip(*points, strict=True) if value > 0 or not far]
        positives = [step for step, _ in positive], [value for _, value in positive]
        _line(axes, positives, linestyle=style, color=colour, label=label, markersize=0 if len(points[0]) > 1 else 3.5)
    if visible:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "ncols": len(visible)}
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, **place)


def _merged(rates: Mapping[str, Series]) -> dict[str, Series]:
    """Return the rates with those that are the same under one name."""
    same: dict[str, list[str]] = {}
    for label, points in rates.items():
        same.setdefault(repr(points), []).append(label)
    return {_together(labels, next(iter(rates))): rates[labels[0]] for labels in same.values()}


def _together(labels: Sequence[str], denoiser: str) -> str:
    """Return one name for several: `text encoders` for both of them."""
    encoders = [label for label in labels if label != denoiser]
    several = ["text encoders"] if len(encoders) > 1 else encoders
    return ", ".join([label for label in labels if label not in encoders] + several)


def _name_lines(axes: Axes) -> None:
    """Write each line's label behind its end, in its colour; labels that would overlap are pushed apart."""
    low, high = axes.get_ylim()
    lines: list[Any] = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    ends = {line: (line.get_ydata()[-1] - low) / (high - low) for line in lines}
    free = 0.0
    for line in sorted(lines, key=ends.__getitem__):
        place = max(ends[line], free)
        free = place + LABEL
        axes.annotate(
            str(line.get_label()),
            (1.01, place),
            xycoords="axes fraction",
            va="center",
            color=line.get_color(),
            fontsize=9,
            annotation_clip=False,
        )


def _draw_ratio(axes: Axes, ratio: Series) -> None:
    _heading(axes, "held-out loss, relative to the base")
    _base_line(axes)
    _line(axes, ratio, color=INK, linewidth=2)
    axes.margins(y=0.2)


def _mark(axes: Axes, step: float, value: float, epoch: int | None, *, late: bool) -> None:
    axes.plot(
        [step], [value], marker="o", markersize=10, color=ACCENT, markeredgecolor="white", zorder=5, clip_on=False
    )
    axes.annotate(
        f"epoch {epoch}: {value:.3f}",
        (step, value),
        # The selected epoch is a low point of the curve as a rule: below it there is room.
        xytext=(-12 if late else 12, -18),
        textcoords="offset points",
        ha="right" if late else "left",
        color=ACCENT,
        fontsize=10,
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        zorder=6,
    )


def _draw_bins(axes: Axes, bins: Sequence[Series], edges: Sequence[int] | None) -> None:
    from matplotlib import colormaps

    _heading(axes, "the same by timestep (low ones: fine detail, high ones: composition)")
    _base_line(axes)
    named = edges if edges is not None and len(edges) == len(bins) + 1 else None
    for index, points in enumerate(bins):
        label = f"{named[index]} to {named[index + 1] - 1}" if named is not None else f"bin {index}"
        colour = colormaps["viridis"](0.05 + 0.7 * index / max(1, len(bins) - 1))
        _line(axes, points, color=colour, label=label)
    axes.margins(y=0.1)
    _name_lines(axes)


def _base_line(axes: Axes) -> None:
    axes.axhline(1, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        "base",
        (1, 1),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color=FAINT,
        fontsize=9,
    )


def _bin_names(rows: Sequence[Row]) -> list[str]:
    found = {
        match[0]: int(match[1])
        for row in rows
        for name in row
        if (match := re.fullmatch(r"val/loss_ratio_bin_(\d+)", name))
    }
    return sorted(found, key=found.__getitem__)


def _step_of(rows: Sequence[Row], epoch: int | None) -> float | None:
    """Return the step at which the epoch was measured: the last row of that epoch."""
    steps = [row["step"] for row in rows if epoch is not None and row.get("epoch") == epoch]
    return float(max(steps)) if steps else None
