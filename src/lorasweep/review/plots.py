"""Optuna's plots of a study as PNG files, made readable: short names, no overlapping labels, room for all."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lorasweep import files
from lorasweep.review import looks, progress_plot
from lorasweep.review.leaderboard import value_names
from lorasweep.text.names import short_names

PANELS = 3  # parameters in the grid of contours; it has the square of this many panels
DPI = 110


@dataclass
class PlotReport:
    """What was drawn; true if anything was.

    Attributes:
        files: the PNG files.
        left_out: why the others were not drawn, by name.
    """

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.files)


def draw_plots(study: optuna.Study, folder: Path) -> PlotReport:
    """Draw what makes sense for the study: `<folder>/<name>.png`.

    Names: history, importance, parallel, slice, contour (these five once per objective: `history-<objective>`),
    intermediate, timeline, pareto.

    Raises:
        OSError: the folder cannot be written.
    """
    import matplotlib.pyplot as plt
    import numpy as np

    report = PlotReport()
    with _quiet_agg():
        study = _short(study)
        others = set(plt.get_fignums())  # of the program around us
        for name, plot, tidy, why_not in _planned(study):
            path = folder / f"{name}.png"
            try:
                if why_not is None:
                    axes = plot()
                    panels = [*axes.flat] if isinstance(axes, np.ndarray) else [axes]
                    tidy(panels)
                    with files.writing(path) as temporary:
                        panels[0].figure.savefig(
                            temporary, format="png", dpi=DPI, bbox_inches="tight", facecolor="white"
                        )
            except OSError:
                raise
            except Exception as error:
                # Optuna's plots have limits of their own (a constant objective, values that are too close, a package
                # that is missing): a picture must not cost the leaderboard.
                why_not = f"Optuna cannot draw it: {error}"
            finally:
                for figure in set(plt.get_fignums()) - others:
                    plt.close(figure)
            if why_not is None:
                report.files.append(path)
            else:
                report.left_out[name] = why_not
    return report


Target = Callable[[FrozenTrial], float] | None
PlannedPlot = tuple[str, Callable[[], Any], Callable[[list[Any]], None], str | None]


def _planned(study: optuna.Study) -> Iterator[PlannedPlot]:
    """Yield of each plot its name, how Optuna draws it, how it becomes readable, and why not if it makes no sense."""
    from optuna.visualization import matplotlib as plots

    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    names = {trial.number: trial.user_attrs["version"] for trial in trials if "version" in trial.user_attrs}
    varied = _varied(complete)
    few = None if len(complete) > 1 else f"needs 2 complete trials, there are {len(complete)}"
    nothing = few or (None if varied else "no parameter took two values")
    objectives = value_names(study)
    for index, objective in enumerate(objectives):
        single = len(objectives) == 1
        end = "" if single else "-" + re.sub(r"[^\w.-]+", "_", objective)
        target: Target = None if single else partial(_value, index)
        about = {"target": target, "target_name": objective}
        maximize = study.directions[index] == StudyDirection.MAXIMIZE
        best = _best(complete, index, maximize, names)
        history = partial(progress_plot.draw_progress, trials, index, objective, maximize, names)
        yield f"history{end}", history, looks.history, None if complete else "no trial is complete"
        importance = partial(plots.plot_param_importances, study, params=varied, **about)
        yield f"importance{end}", importance, partial(looks.importance, objective), nothing
        parallel = partial(plots.plot_parallel_coordinate, study, params=varied, **about)
        yield f"parallel{end}", parallel, partial(looks.parallel, maximize, varied, best), nothing
        slices = partial(plots.plot_slice, study, params=varied, **about)
        yield f"slice{end}", slices, partial(looks.slice, best), nothing
        narrow = nothing or (None if len(varied) > 1 else "needs 2 parameters that took two values")
        # The best known order: those that matter most. Worked out only where the grid would be too large.
        chosen = _important(study, varied, target) if len(varied) > PANELS else varied
        contour = partial(plots.plot_contour, study, params=chosen, **about)
        scale = looks.Scale(objective, maximize, [trial.values[index] for trial in complete])
        yield f"contour{end}", contour, partial(looks.contour, len(chosen), scale, best), narrow
    reports = any(trial.intermediate_values for trial in trials)
    several = "trials of several objectives report nothing on the way" if len(objectives) > 1 else None
    silent = several or (None if reports else "no trial reported a value on the way")
    intermediate = partial(plots.plot_intermediate_values, study)
    first = _best(complete, 0, study.directions[0] == StudyDirection.MAXIMIZE, names)
    yield "intermediate", intermediate, partial(looks.intermediate, trials, objectives[0], first), silent
    begun = any(trial.datetime_start for trial in trials)
    timeline = partial(plots.plot_timeline, study)
    yield "timeline", timeline, partial(looks.timeline, names), None if begun else "no trial has begun"
    if len(objectives) > 1:
        front = partial(plots.plot_pareto_front, study, target_names=objectives)
        limits = None if len(objectives) < 4 else "it can be drawn for 2 or 3 objectives only"
        yield "pareto", front, looks.pareto, limits or (None if complete else "no trial is complete")


def _best(complete: Sequence[FrozenTrial], index: int, maximize: bool, names: Mapping[int, str]) -> looks.Best | None:
    """Return the complete trial with the best value of an objective."""
    if not complete:
        return None
    found = (max if maximize else min)(complete, key=lambda trial: trial.values[index])
    name = f"{names[found.number]}, trial {found.number}" if found.number in names else f"trial {found.number}"
    return looks.Best(found.number, name, found.values[index])


def _short(study: optuna.Study) -> optuna.Study:
    """Return a copy of the study in memory: parameters with short names, no values that are not finite."""
    trials = study.get_trials(deepcopy=False)
    names = short_names(key for trial in trials for key in trial.params)
    copy = optuna.create_study(study_name=study.study_name, directions=study.directions)
    copy.set_metric_names(value_names(study))
    for trial in trials:
        values = trial.values if trial.state == TrialState.COMPLETE else None
        usable = values is None or all(map(math.isfinite, values))
        distributions: dict[str, BaseDistribution] = trial.distributions
        again = optuna.trial.create_trial(
            state=trial.state if usable else TrialState.FAIL,
            values=values if usable else None,
            params={names[key]: value for key, value in trial.params.items()},
            distributions={names[key]: distribution for key, distribution in distributions.items()},
            intermediate_values={s: value for s, value in trial.intermediate_values.items() if math.isfinite(value)},
            constraints=trial.constraints or None,
            user_attrs={key: value for key, value in trial.user_attrs.items() if key == "version"},
        )
        again.datetime_start, again.datetime_complete = trial.datetime_start, trial.datetime_complete
        copy.add_trial(again)
    return copy


def _varied(complete: Sequence[FrozenTrial]) -> list[str]:
    """Return the parameters that took at least two values."""
    taken: dict[str, set[str]] = {}
    for trial in complete:
        for key, value in trial.params.items():
            taken.setdefault(key, set()).add(repr(value))
    return [key for key, values in taken.items() if len(values) > 1]


def _important(study: optuna.Study, params: list[str], target: Target) -> list[str]:
    try:
        found = optuna.importance.get_param_importances(study, params=params, target=target)
    except (ValueError, RuntimeError):
        return params[:PANELS]
    return sorted(found, key=lambda key: -found[key])[:PANELS]


def _value(index: int, trial: FrozenTrial) -> float:
    return trial.values[index]


@contextmanager
def _quiet_agg() -> Iterator[None]:
    """Draw into memory, without a window or what Optuna and matplotlib say of it; leave their settings as they were."""
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend(auto_select=False)
    verbosity = optuna.logging.get_verbosity()
    logger = logging.getLogger("matplotlib")  # it tells of texts that could be numbers
    level = logger.level
    # A choice may be a text such as ${of_lr:0.1}, which is no formula.
    settings = {"font.family": "DejaVu Sans", "text.parse_math": False}
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logger.setLevel(logging.WARNING)
        plt.switch_backend("agg")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)
            logger.setLevel(level)
            if before is not None and before.lower() != "agg":
                plt.switch_backend(before)
