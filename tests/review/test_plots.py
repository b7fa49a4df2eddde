"""Optuna's plots as files: which are drawn, that they can be read, and that nothing else is touched."""

from __future__ import annotations

import logging
import math
import random
import warnings
from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import optuna
import pytest
from matplotlib.collections import LineCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from PIL import Image

from lorasweep.review.colours import usual
from lorasweep.review.plots import draw_plots

SPACE = {
    "optimizer.lr": FloatDistribution(1e-6, 1e-2, log=True),
    "optimizer.text_encoder_learning_rate_of_both": FloatDistribution(1e-6, 1e-3, log=True),
    "scheduler": CategoricalDistribution(["constant", "cosine", "cosine_with_restarts"]),
    "network.rank": IntDistribution(4, 32, step=4),
}


def a_study(count: int, directions: tuple[str, ...] = ("minimize",), keys: int = 4) -> optuna.Study:
    """A study of complete, pruned and failed trials with reports on the way."""
    study = optuna.create_study(study_name="bear", directions=list(directions))
    chance = random.Random(1)
    for number in range(count):
        params = {
            "optimizer.lr": 10 ** chance.uniform(-5, -3),
            "optimizer.text_encoder_learning_rate_of_both": 10 ** chance.uniform(-6, -4),
            "scheduler": chance.choice(SPACE["scheduler"].choices),
            "network.rank": chance.randrange(4, 33, 4),
        }
        params = dict(list(params.items())[:keys])
        state = {3: TrialState.PRUNED, 4: TrialState.FAIL}.get(number % 6, TrialState.COMPLETE)
        value = (math.log10(params["optimizer.lr"]) + 4) ** 2 + chance.random()
        values = [value, chance.random(), chance.random()][: len(directions)]
        single = len(directions) == 1
        study.add_trial(
            create_trial(
                state=state,
                values=values if state == TrialState.COMPLETE else None,
                params=params,
                distributions={key: SPACE[key] for key in params},
                intermediate_values={step: value + 9 / step for step in range(10, 60, 10)} if single else None,
            )
        )
    return study


@pytest.fixture
def overlaps(monkeypatch) -> list[str]:
    """What runs into each other in the figures that are saved: the labels of the ticks of one axis."""
    found: list[str] = []
    save = Figure.savefig

    def checked(figure, *args, **options):
        figure.canvas.draw()
        for axes in figure.axes:
            cut = [text.get_text() for text in axes.get_xticklabels() if text.get_text().endswith("...")]
            found.extend(f"{name} is cut" for name in cut)
            for axis, side in ((axes.xaxis, 0), (axes.yaxis, 1)):
                labels = [label for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]
                low, high = sorted(axis.get_view_interval())
                shown = [label for label in labels if low <= label.get_position()[side] <= high]
                upright = [label for label in shown if label.get_rotation() == 0]
                boxes = sorted((label.get_window_extent() for label in upright), key=lambda box: box.min[side])
                names = [label.get_text() for label in upright]
                found.extend(f"{names}" for one, other in pairwise(boxes) if one.max[side] > other.min[side] + 1)
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", checked)
    return found


def test_all_plots_of_one_objective(tmp_path, overlaps, caplog):
    study = a_study(18)
    caplog.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = draw_plots(study, tmp_path / "plots")
    assert caplog.messages == []
    names = ["history", "importance", "parallel", "slice", "contour", "intermediate", "timeline"]
    assert drawn and drawn.left_out == {} and [path.stem for path in drawn.files] == names
    assert overlaps == []
    for path in drawn.files:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) >= 300 and len(set(image.convert("L").getdata())) > 20
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {f"{name}.png" for name in names}


def test_several_objectives_have_their_plots_each_and_the_front(tmp_path):
    drawn = draw_plots(a_study(8, ("minimize", "maximize"), keys=1), tmp_path)
    each = [f"{name}-value_{index}" for index in (0, 1) for name in ("history", "importance", "parallel", "slice")]
    assert {path.stem for path in drawn.files} == {*each, "timeline", "pareto"}
    assert drawn.left_out == {
        "contour-value_0": "needs 2 parameters that took two values",
        "contour-value_1": "needs 2 parameters that took two values",
        "intermediate": "trials of several objectives report nothing on the way",
    }


def test_an_empty_study_says_why_there_is_nothing(tmp_path):
    drawn = draw_plots(optuna.create_study(), tmp_path)
    assert not drawn and drawn.files == [] and list(tmp_path.iterdir()) == []
    assert drawn.left_out["history"] == "no trial is complete"
    assert drawn.left_out["importance"] == "needs 2 complete trials, there are 0"
    assert drawn.left_out["timeline"] == "no trial has begun"
    assert drawn.left_out["intermediate"] == "no trial reported a value on the way"


def test_equal_trials_and_infinite_values_do_not_stop_it(tmp_path):
    study = optuna.create_study()
    for value in (0.5, 0.5, math.inf):
        params = {"network.rank": 8}
        study.add_trial(
            create_trial(
                value=value, params=params, distributions={"network.rank": SPACE["network.rank"]},
                intermediate_values={1: math.inf, 2: 0.5},
            )
        )  # fmt: skip
    drawn = draw_plots(study, tmp_path)
    assert {path.stem for path in drawn.files} == {"history", "intermediate", "timeline"}
    assert drawn.left_out["slice"] == "no parameter took two values"


def test_choices_of_several_types_and_with_dollars(tmp_path, overlaps):
    choices = CategoricalDistribution([0, "${of_lr:0.1}", "$a$ and ${b}", None, True, 0.5])
    study = optuna.create_study()
    for number in range(12):
        params = {"text_encoder_lr": choices.choices[number % 6], "lr": 10 ** -(2 + number / 6)}
        space = {"text_encoder_lr": choices, "lr": SPACE["optimizer.lr"]}
        study.add_trial(create_trial(value=number % 5, params=params, distributions=space))
    drawn = draw_plots(study, tmp_path)
    assert drawn.left_out == {"intermediate": "no trial reported a value on the way"} and overlaps == []


def test_choices_that_could_be_numbers_are_drawn_without_a_word(tmp_path, caplog):
    choices = CategoricalDistribution(["1", "2", "4"])
    study = optuna.create_study()
    for number in range(6):
        study.add_trial(
            create_trial(value=number % 4, params={"x": choices.choices[number % 3]}, distributions={"x": choices})
        )
    caplog.clear()
    with caplog.at_level(logging.INFO):  # what Hydra sets
        draw_plots(study, tmp_path)
    assert caplog.messages == []


def test_what_optuna_cannot_draw_is_left_out_with_its_words(tmp_path, monkeypatch):
    def cannot(*args, **options):
        raise ValueError("zero variance")

    monkeypatch.setattr("optuna.visualization.matplotlib.plot_param_importances", cannot)
    drawn = draw_plots(a_study(4, keys=1), tmp_path)
    assert drawn.left_out["importance"] == "Optuna cannot draw it: zero variance"
    assert "slice" in {path.stem for path in drawn.files}


def test_better_is_darker_in_both_directions(tmp_path, monkeypatch):
    seen = {}

    def look(figure, path, **options):
        lines = [part for axes in figure.axes for part in axes.collections if isinstance(part, LineCollection)]
        if lines:
            seen["values"] = list(lines[0].get_array())
            seen["light"] = [sum(lines[0].to_rgba(value)[:3]) for value in seen["values"]]
        path.write_bytes(b"")

    monkeypatch.setattr(Figure, "savefig", look)
    for directions, best in ((("minimize",), min), (("maximize",), max), (("minimize", "maximize"), max)):
        seen.clear()
        study = optuna.create_study(directions=list(directions))
        for value in (1.0, 2.0):
            params, space = {"lr": value / 1000}, {"lr": SPACE["optimizer.lr"]}
            study.add_trial(create_trial(values=[value] * len(directions), params=params, distributions=space))
        draw_plots(study, tmp_path)
        darkest = seen["values"][seen["light"].index(min(seen["light"]))]
        assert darkest == best(seen["values"])


def test_the_program_around_it_keeps_its_figures_and_settings(tmp_path):
    before = matplotlib.get_backend(auto_select=False)
    try:
        plt.switch_backend("svg")
        mine = plt.figure()
        settings = dict(matplotlib.rcParams)
        draw_plots(a_study(3, keys=1), tmp_path)
        assert matplotlib.get_backend() == "svg" and plt.get_fignums() == [mine.number]
        assert {key: value for key, value in matplotlib.rcParams.items() if settings[key] != value} == {}
    finally:
        plt.close("all")
        plt.switch_backend(before or "agg")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        draw_plots(a_study(3, keys=1), tmp_path / "file" / "plots")
    assert plt.get_fignums() == []


@pytest.fixture
def figures(monkeypatch) -> dict[str, Figure]:
    """The figures that are saved, by name; they stay as they were drawn."""
    found: dict[str, Figure] = {}
    save = Figure.savefig

    def kept(figure, path, **options):
        figure.canvas.draw()
        found[path.name.lstrip(".").partition(".")[0]] = figure
        return save(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    return found


def named(study: optuna.Study) -> optuna.Study:
    """The same study with versions as its trials."""
    again = optuna.create_study(study_name=study.study_name, directions=study.directions)
    for trial in study.get_trials():
        trial.set_user_attr("version", f"FuzzyBear v{6 + trial.number}")
        again.add_trial(trial)
    return again


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_contours_have_one_scale_and_darker_is_better(tmp_path, figures, direction):
    draw_plots(a_study(18, (direction,)), tmp_path)
    contours = [part for axes in figures["contour"].axes for part in axes.collections if isinstance(part, ContourSet)]
    filled = [part for part in contours if part.filled]
    assert len(filled) == 6
    ((low, high),) = {(part.norm.vmin, part.norm.vmax) for part in filled}  # a colour means the same in every panel
    light = [sum(filled[0].to_rgba(value)[:3]) for value in (low, high)]
    assert (light[0] < light[1]) == (direction == "minimize")
    bar = next(axes for axes in figures["contour"].axes if axes.get_label() == "<colorbar>")
    assert bar.get_ylim() == pytest.approx((low, high)), "and the bar belongs to all of them"
    assert "darker: better" in figures["contour"].axes[0].get_title("left").replace("\n", " ")


def test_the_history_has_pruned_and_failed_trials_too(tmp_path, figures):
    study = a_study(18)
    draw_plots(study, tmp_path)
    points = {part.get_label(): len(part.get_offsets()) for part in figures["history"].axes[0].collections}
    states = [trial.state for trial in study.trials]
    assert points == {
        "complete": states.count(TrialState.COMPLETE),
        "pruned (last report)": states.count(TrialState.PRUNED),
        "failed": states.count(TrialState.FAIL),
    }


def test_one_bad_value_stands_at_the_edge_and_is_told(tmp_path, figures):
    study = optuna.create_study()
    for number, value in enumerate([0.5, 0.52, 0.55, 0.6, 40.0, 3.0]):
        params, space = {"lr": 10.0 ** -(2 + number)}, {"lr": FloatDistribution(1e-9, 1, log=True)}
        study.add_trial(create_trial(value=value, params=params, distributions=space))
    draw_plots(study, tmp_path)
    axes = figures["history"].axes[0]
    assert axes.get_ylim()[1] < 1.5
    (points,) = (part for part in axes.collections if part.get_label() == "complete")
    assert len(points.get_offsets()) == 6 and max(y for _, y in points.get_offsets()) <= axes.get_ylim()[1]
    assert "2 beyond the axis, as far as 40.0000, at its edge" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("values", "maximize", "expected"),
    [
        ([0.5, 0.6, 0.7], False, (0.5, 0.7)),
        ([0.5, 0.6, 0.7, 0.8, 90.0], False, (0.5, 1.1)),
        ([0.5, 0.6, 0.7, 0.8, -90.0], True, (0.2, 0.8)),
        ([0.5, 0.5, 0.5], False, (0.5, 0.5)),
        ([0.5], True, (0.5, 0.5)),
    ],
)
def test_the_usual_range(values, maximize, expected):
    assert usual(values, maximize) == pytest.approx(expected)


def test_versions_are_named_in_the_plots(tmp_path, overlaps, figures):
    study = named(a_study(18))
    draw_plots(study, tmp_path)
    best = f"FuzzyBear v{6 + study.best_trial.number}"
    for name in ("parallel", "slice", "contour"):
        assert best in figures[name].axes[0].get_title("left").replace("\n", " "), name
    history = figures["history"].axes[0]
    assert best in [text.get_text() for text in history.texts]
    assert [label.get_text().split()[-1] for label in history.get_xticklabels()] == [f"v{6 + n}" for n in range(18)]
    legend = [text.get_text() for text in figures["intermediate"].axes[0].get_legend().get_texts()]
    assert f"best ({best}, trial {study.best_trial.number})" in legend
    assert any(label.get_text().startswith("v") for label in figures["timeline"].axes[0].get_yticklabels())
    assert overlaps == []


def test_dark_means_better_or_nothing(tmp_path, figures):
    draw_plots(a_study(18), tmp_path)
    for axes in figures["slice"].axes:
        assert len({tuple(colour) for colour in axes.collections[0].get_facecolor()}) == 1
    titles = [figures[name].axes[0].get_title("left") for name in ("slice", "parallel", "contour", "history")]
    assert ["dark" in title for title in titles] == [False, True, True, False]
