"""What versions are chosen by, parsed from text."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lorasweep.checks import check
from lorasweep.compose.composition import compose, load_config
from lorasweep.errors import UserError
from lorasweep.metrics.selection import best_epoch_by
from lorasweep.schema.goals import measure_of, parse_goal
from lorasweep.schema.measures import METRICS

METRIC, OTHER = "image/fidelity", "val/loss_ratio"


def test_a_metric_a_weighted_sum_and_conditions() -> None:
    assert (parse_goal(METRIC).direction, parse_goal(OTHER).direction) == ("maximize", "minimize")
    assert parse_goal(METRIC).measure() is METRICS[METRIC]
    goal = parse_goal(f" maximise .7*{METRIC} - 3e-1*{OTHER} where {OTHER} <= 0.9 and image/adherence >= -0.1")
    assert goal.terms == {METRIC: 0.7, OTHER: -0.3} and goal.direction == "maximize"
    assert [str(condition) for condition in goal.conditions] == [f"{OTHER} <= 0.9", "image/adherence >= -0.1"]
    assert goal.metrics == [METRIC, OTHER, "image/adherence"]
    assert goal.value({METRIC: 1.0, OTHER: 0.5}) == pytest.approx(0.55) and goal.value({METRIC: 1.0}) is None
    assert goal.excess({OTHER: 1.2, "image/adherence": 0}) == pytest.approx(0.3)
    assert goal.excess({OTHER: 0.9, "image/adherence": 0}) == 0 and goal.excess({OTHER: 0.1}) == float("inf")
    measure = measure_of(goal.text)
    assert measure is not None and measure.label == f"0.7*{METRIC} - 0.3*{OTHER}"
    assert measure.margin == pytest.approx(0.7 * METRICS[METRIC].margin + 0.3 * METRICS[OTHER].margin)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{METRIC} + {OTHER}", "say which way is better, as its terms disagree: 'maximize "),
        (f"minimize {METRIC}", "is better the other way: write maximize, or leave minimize out"),
        (f"{METRIC} where", "expected a metric, a weighted sum such as"),
        (f"{METRIC} where {OTHER} = 1", "or one under conditions such as"),
        (f"{METRIC} {OTHER}", "expected a metric"),
        ("0.5*image/fidelty", "there is no metric image/fidelty; expected one of .* did you mean image/fidelity"),
        (f"{METRIC} where my.package:METRIC <= 1", "there is no metric my.package:METRIC"),
    ],
)
def test_what_is_none_is_told_with_the_cure(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_goal(text)
    assert measure_of(text) is None


@dataclass
class Entry:
    epoch: int
    metrics: dict[str, float] = field(default_factory=dict)


def test_the_best_epoch_of_those_that_keep_the_conditions() -> None:
    epochs = [
        Entry(1, {METRIC: 0.3, OTHER: 0.7}),
        Entry(2, {METRIC: 0.4, OTHER: 0.9}),
        Entry(3, {METRIC: 0.5, OTHER: 1.2}),
        Entry(4, {OTHER: 0.5}),
    ]
    chosen = {
        METRIC: (3, f"highest {METRIC}: 0.5"),
        f"{METRIC} where {OTHER} <= 1": (2, f"highest {METRIC}: 0.4, of those with {OTHER} <= 1"),
        f"{METRIC} - {OTHER}": (1, f"highest {METRIC} - {OTHER}: -0.4"),
        f"{METRIC} where {OTHER} <= 0.4": (4, f"no epoch has {OTHER} <= 0.4: the nearest to it"),
        f"{METRIC} where image/adherence >= 0": (4, "the last epoch: no epoch was measured for image/adherence >= 0"),
    }
    assert {text: best_epoch_by(epochs, parse_goal(text)) for text in chosen} == chosen


def test_a_command_line_takes_a_goal_and_a_search_its_conditions(composed_configs: None) -> None:
    goal = f"maximize {METRIC} where {OTHER} <= 0.9"
    config = load_config([f"objective={goal}", f"evaluation.select_by=0.5*{METRIC} - 0.5*{OTHER}"])
    assert config.objective == goal and not check(config)
    composed = compose(["hydra/sweeper=optuna", f"objective={goal}"])
    assert composed.objective == goal
    with pytest.raises(UserError) as caught:
        load_config([f"objective={METRIC} + {OTHER}", "evaluation.select_by=0.5*train/los"])
    assert [problem.partition("=")[0] for problem in caught.value.problems] == ["objective", "evaluation.select_by"]
    with pytest.raises(UserError, match=f"{METRIC} would never be measured: set .*sampling.every_epochs=1"):
        load_config([f"objective={goal}", "sampling.every_epochs=0"])
