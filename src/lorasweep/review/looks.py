"""How Optuna's plots are made readable: sizes, colours, titles, labels that neither overlap nor are cut.

Each function takes the panels that Optuna drew (in reading order) and changes them in place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial

from lorasweep.pictures.canvas import FAINT, INK, LINE
from lorasweep.review.colours import COLOURS, Scale, better_is_dark
from lorasweep.review.progress_plot import NAMED
from lorasweep.search.ranking import STATES
from lorasweep.text.values import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


@dataclass(frozen=True)
class Best:
    """The best trial.

    Attributes:
        number: its number.
        name: what it is called.
        value: its objective.
    """

    number: int
    name: str
    value: float


def history(panels: list[Any]) -> None:
    """The objective by trial, and the best so far."""
    axes = panels[0]
    _resize(axes, 9, 5)
    _plain(axes, "objective of each trial")
    if len(axes.get_xticks()) > NAMED or not any("\n" in label.get_text() for label in axes.get_xticklabels()):
        _whole_numbers(axes.xaxis)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        above = {"loc": "lower right", "bbox_to_anchor": (1, 1.0), "ncols": len(handles), "borderaxespad": 0.2}
        axes.legend(handles, labels, frameon=False, fontsize=10, labelcolor=INK, **above)


def importance(objective: str, panels: list[Any]) -> None:
    """A bar per parameter."""
    axes = panels[0]
    count = len(axes.get_yticks())
    _resize(axes, 8, 1.3 + 0.5 * count)
    _plain(axes, f"how much each parameter matters for {objective}")
    axes.grid(False, axis="y")
    axes.set(xlabel="importance (all together 1)", ylabel="")
    axes.get_legend().remove()
    for bar in axes.patches:
        bar.set_color(COLOURS["complete"])
    for text in axes.texts:
        text.set(fontsize=9, color=INK)
        text.set_text(" " + text.get_text())


def parallel(maximize: bool, keys: Sequence[str], best: Best | None, panels: list[Any]) -> None:
    """A line per trial through all its parameters; the better, the darker."""
    from matplotlib.collections import LineCollection

    axes = panels[0]
    figure, count = axes.figure, len(axes.get_xticks())
    _resize(axes, 3 + 2.1 * (count - 1), 5.5)
    _plain(axes, f"parameters of each trial (darker: better{_named(best)})")
    axes.grid(False)
    axes.set_xlabel("")
    lines = next(part for part in axes.collections if isinstance(part, LineCollection))
    # The first axis is the objective already: a colour bar says nothing new and takes the last axis' room.
    if lines.colorbar is not None:
        lines.colorbar.remove()
    # Optuna takes an objective that it is pointed to as one to minimise, so its own colours may be the wrong way round.
    lines.set(cmap=better_is_dark(maximize), linewidth=1.6, alpha=0.85)
    # Optuna cuts long names; the whole ones have room.
    cut = [label.get_text() for label in axes.get_xticklabels()]
    whole = [next((key for key in sorted(keys) if key.startswith(text.removesuffix("..."))), text) for text in cut[1:]]
    names = [_wrapped(name, 18) for name in (*cut[:1], *whole)]
    axes.set_xticks(range(count), names, rotation=0, ha="center", fontsize=10, color=INK)
    for each in figure.axes:
        each.grid(False)
        each.set_facecolor("none")
        each.spines[["left", "right"]].set_color(FAINT)
        _readable(each.yaxis)
        for label in each.get_yticklabels():
            label.set(fontsize=8.5, color=INK)
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8})
            label.set_zorder(5)


def slice(best: Best | None, panels: list[Any]) -> None:
    """The objective against each parameter; the best trial stands out."""
    _resize(panels[0], 1.6 + 2.9 * len(panels), 4.4)
    figure = panels[0].figure
    figure.suptitle("")
    for index, axes in enumerate(panels):
        _plain(axes, f"objective against each parameter{_named(best, ' (star: ', ')')}" if index == 0 else "")
        axes.set_xlabel(_wrapped(axes.get_xlabel(), 26))
        axes.set_ylabel("" if index else axes.get_ylabel())
        points = axes.collections[0]
        # Optuna colours by the order of the trials, which another plot shows: here dark would be taken for good.
        points.set(array=None, facecolor=COLOURS["complete"], edgecolor="white", linewidth=0.6, sizes=[42])
        _star(axes, [place for place in points.get_offsets() if best is not None and place[1] == best.value])
        _readable(axes.xaxis)
        _slant_words(axes)
    for extra in figure.axes[len(panels) :]:
        extra.remove()


def contour(count: int, scale: Scale, best: Best | None, panels: list[Any]) -> None:
    """The objective over each pair of parameters, in a grid; of two parameters a single panel."""
    from matplotlib.contour import ContourSet

    size = 5.5 if count == 2 else 2.6 * count
    _resize(panels[0], size * 1.25, size)
    figure, colours = panels[0].figure, scale.mappable()
    figure.suptitle("")
    for index, axes in enumerate(panels):
        row, column = divmod(index, count) if count > 2 else (0, 0)
        last = row == count - 1 or count == 2
        title = f"objective over pairs of parameters (darker: better{_named(best)}; between trials interpolated)"
        _plain(axes, _wrapped(title, 90) if index == 0 else "")
        axes.grid(False)
        _readable(axes.xaxis)
        _readable(axes.yaxis)
        _slant_words(axes)
        axes.xaxis.set_tick_params(which="both", labelbottom=last)
        axes.yaxis.set_tick_params(which="both", labelleft=column == 0)
        axes.set_xlabel(_wrapped(axes.get_xlabel(), 22) if last else "")
        axes.set_ylabel(_wrapped(axes.get_ylabel(), 22) if column == 0 else "")
        for points in axes.collections:
            if isinstance(points, ContourSet) and points.filled:
                # Optuna gives each panel a scale of its own, and shows that of the first.
                points.set(cmap=colours.cmap, norm=colours.norm)
            elif hasattr(points, "set_sizes") and len(points.get_offsets()):
                points.set_sizes([14])
                points.set_linewidth(0.8)
    for place in figure.axes[len(panels) :]:
        place.clear()
        bar = figure.colorbar(colours, cax=place)
        bar.set_label(scale.objective, color=INK, fontsize=10)
        bar.outline.set_edgecolor(LINE)
        place.tick_params(labelsize=9, colors=FAINT)


def intermediate(trials: Sequence[FrozenTrial], objective: str, best: Best | None, panels: list[Any]) -> None:
    """What the trials reported on the way, coloured by how they ended; the best stands out."""
    from matplotlib.lines import Line2D

    axes = panels[0]
    _resize(axes, 9, 5.5)
    _plain(axes, "values on the way")
    axes.set(xlabel="step", ylabel=objective)
    _whole_numbers(axes.xaxis)
    if axes.get_legend() is not None:
        axes.get_legend().remove()
    seen: list[str] = []
    handles = []
    for line in axes.lines:
        index = int(line.get_label().removeprefix("Trial"))  # Optuna labels a line by its trial only
        state = STATES[trials[index].state]
        seen.append(state)
        line.set(color=COLOURS.get(state, FAINT), linewidth=1.4, alpha=0.5, markersize=4, zorder=2)
        if best is not None and index == best.number:
            line.set(color=INK, linewidth=2.4, alpha=1, zorder=3, label=f"best ({best.name})")
            handles = [line]
    handles += [Line2D([], [], color=COLOURS[state], label=state) for state in COLOURS if state in seen]
    _legend(axes, handles, [handle.get_label() for handle in handles])


def timeline(names: Mapping[int, str], panels: list[Any]) -> None:
    """When each trial ran, the first on top."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes = panels[0]
    count = len(axes.patches)
    _resize(axes, 9, min(14.0, max(3.5, 0.16 * count + 1.5)))
    _plain(axes, "when each trial ran")
    axes.set(xlabel="", ylabel="trial")
    _whole_numbers(axes.yaxis)
    axes.yaxis.set_major_formatter(lambda value, _: _numbered(round(value), names))
    axes.invert_yaxis()
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if (legend := axes.get_legend()) is not None:
        labels = [text.get_text().lower() for text in legend.get_texts()]
        _legend(axes, legend.legend_handles, ["failed" if label == "fail" else label for label in labels], beside=True)


def pareto(panels: list[Any]) -> None:
    """The objectives against each other."""
    axes = panels[0]
    _resize(axes, 8, 6)
    _plain(axes, "Pareto front: no trial beats these in one objective without losing in another")
    handles, labels = axes.get_legend_handles_labels()
    _legend(axes, handles, ["on the front" if label == "Best Trial" else label.lower() for label in labels])


def _named(best: Best | None, before: str = "; best: ", after: str = "") -> str:
    return f"{before}{best.name}{after}" if best is not None else ""


def _numbered(number: int, names: Mapping[int, str]) -> str:
    """Return a trial's number, behind the last word of its version's name: `v12  6`."""
    return f"{names[number].split()[-1]}  {number}" if number in names else str(number)


def _star(axes: Axes, places: Sequence[Any]) -> None:
    for x, y in places:
        axes.plot([x], [y], marker="*", markersize=15, color=INK, markeredgecolor="white", zorder=5, clip_on=False)


def _legend(axes: Any, handles: Sequence[Any], labels: Sequence[str], *, beside: bool = False) -> None:
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)} if beside else {"loc": "best"}
    axes.legend(handles, labels, frameon=False, fontsize=10, labelcolor=INK, **place)


def _resize(axes: Any, width: float, height: float) -> None:
    axes.figure.set_size_inches(width, height)


def _plain(axes: Axes, title: str) -> None:
    """Give axes the house's colours and a title on the left."""
    axes.set_facecolor("white")
    axes.set_title("")
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=12)
    axes.grid(True, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=10)
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _readable(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers; between decades too where it spans only a few."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if axis.get_scale() != "log":
        return
    low, high = sorted(axis.get_view_interval())
    span = high / low if low > 0 else math.inf
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 15 else (1, 3) if span < 150 else (1,)))
    axis.set_major_formatter(lambda value, _: number(value))
    axis.set_minor_formatter(NullFormatter())


def _whole_numbers(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _slant_words(axes: Axes) -> None:
    """Turn the labels of a categorical axis, which are words that would run into each other, and drop their quotes."""
    labels = [label.get_text() for label in axes.get_xticklabels()]
    named = any(label.startswith("'") or re.search(r"[A-Za-z]{2}", label) for label in labels)
    if named:
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, labels)) > 8 else {}
        axes.set_xticks(axes.get_xticks(), [_wrapped(label.strip("'"), 14) for label in labels], **turned)


def _wrapped(name: str, width: int) -> str:
    """Break a long name into lines of about `width` characters, after its underscores, dots and spaces."""
    lines = [""]
    for piece in re.findall(r"[^_. ]*[_. ]|[^_. ]+$", name):
        if lines[-1] and len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
