"""The order of a study's trials."""

from __future__ import annotations

import itertools
import math
import random

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from lorasweep.search.ranking import best, pareto_front, ranking_remarks, rows


def a_study(*directions: str, tie_breakers: tuple[str, ...] = ()) -> optuna.Study:
    study = optuna.create_study(directions=list(directions) or ["minimize"])
    study.set_user_attr("tie_breakers", list(tie_breakers))
    return study


def add(study, *values, state=TrialState.COMPLETE, params=None, constraints=None, reports=None, **attributes) -> int:
    params = params or {}
    distributions = {
        key: IntDistribution(0, 1000) if isinstance(value, int) else FloatDistribution(0, 1)
        for key, value in params.items()
    }
    study.add_trial(
        create_trial(
            state=state,
            values=list(values) or None,
            params=params,
            distributions=distributions,
            user_attrs=attributes,
            intermediate_values=reports,
            constraints=constraints,
        )
    )
    return len(study.trials) - 1


def numbers(found) -> list[int]:
    return [row.number for row in found]


@pytest.mark.parametrize(("direction", "order"), [("minimize", [1, 2, 0]), ("maximize", [0, 2, 1])])
def test_the_best_value_is_first(direction, order):
    study = a_study(direction)
    for value in (0.9, 0.1, 0.5):
        add(study, value)
    assert numbers(rows(study)) == order
    assert best(rows(study)).number == order[0] == study.best_trial.number


def test_what_is_not_complete_comes_after_and_has_no_value():
    study = a_study()
    add(study, state=TrialState.FAIL, reason="the loss is NaN at step 7")
    add(study, 0.2, state=TrialState.PRUNED, reason="worse than the median", reports={10: 0.4, 20: 0.2})
    add(study, state=TrialState.WAITING)
    add(study, state=TrialState.RUNNING, reports={5: 0.3})
    add(study, 0.9)
    found = rows(study)
    states = ["complete", "running", "waiting", "pruned", "failed"]
    assert [row.state for row in found] == states and numbers(found) == [4, 3, 2, 1, 0]
    assert [row.values for row in found] == [(0.9,), (), (), (), ()]
    assert [row.last for row in found] == [None, (5, 0.3), None, (20, 0.2), None]
    assert [row.reason for row in found][3:] == ["worse than the median", "the loss is NaN at step 7"]
    assert best(found).number == 4


def test_a_study_without_a_complete_trial_has_no_best():
    study = a_study()
    assert rows(study) == [] and best([]) is None
    add(study, 0.1, state=TrialState.PRUNED)
    assert best(rows(study)) is None


def test_a_row_holds_what_the_trial_noted():
    study = a_study()
    noted = {"version": "FuzzyBear v9", "folder": "outputs/fuzzybear/v9", "command": "python train.py network.rank=8"}
    add(study, 0.5, params={"network.rank": 8}, seconds=12.5, metrics={"steps": 40}, **noted)
    add(study, 0.6)
    row, other = rows(study)
    assert (row.version, row.folder, row.command) == tuple(noted.values())
    assert (row.params, row.metrics, row.seconds, row.n) == ({"network.rank": 8}, {"steps": 40}, 12.5, 1)
    # Of a trial that noted nothing, Optuna knows the time at least.
    assert other.version is None and other.seconds == study.trials[1].duration.total_seconds()


def test_near_equal_values_go_to_fewer_steps_then_lower_rank():
    study = a_study(tie_breakers=("steps", "network.rank"))
    add(study, 0.50000, params={"network.rank": 32}, metrics={"steps": 400})
    add(study, 0.50020, params={"network.rank": 16}, metrics={"steps": 200})
    add(study, 0.50030, params={"network.rank": 8}, metrics={"steps": 200})
    add(study, 0.50060, params={"network.rank": 4}, metrics={"steps": 100})  # 1.2e-3 above the best: no tie
    assert numbers(rows(study)) == [2, 1, 0, 3]


def test_values_that_differ_by_more_are_no_tie_and_missing_tie_breakers_come_last():
    study = a_study("maximize", tie_breakers=("network.rank",))
    add(study, -10.0)
    add(study, -10.005, params={"network.rank": 8})  # within a thousandth, and has a rank to go by
    add(study, -10.02, params={"network.rank": 1})
    assert numbers(rows(study)) == [1, 0, 2]


def test_equal_values_without_tie_breakers_keep_the_order_of_the_trials():
    study = a_study()
    for value in (0.5, 0.4, 0.5, 0.4):
        add(study, value)
    assert numbers(rows(study)) == [1, 3, 0, 2]


def test_infinite_values_are_last_and_end_the_sorting():
    study = a_study()
    for value in (math.inf, 0.5, -math.inf):
        add(study, value)
    assert numbers(rows(study)) == [1, 0, 2]


def with_finals(tops: dict[int, list[float]], stage: str = "repeat") -> optuna.Study:
    finals = a_study()
    for of, values in tops.items():
        for index, value in enumerate(values, 1):
            add(finals, value, of=of, stage=stage, index=index)
    return finals


def test_finalists_are_ranked_by_their_mean_and_show_their_spread():
    study = a_study()
    for value in (0.50, 0.51, 0.53):
        add(study, value)
    found = rows(study, with_finals({0: [0.60, 0.55], 1: [0.51, 0.54]}))
    assert numbers(found) == [1, 0, 2]
    assert found[0].values == pytest.approx((0.52,)) and found[0].n == 3
    assert found[0].spread == pytest.approx((math.sqrt((0.01**2 + 0.01**2 + 0.02**2) / 2),))
    assert found[1].values == pytest.approx((0.55,))
    assert (found[2].values, found[2].spread, found[2].n) == ((0.53,), (), 1)


def test_a_lucky_single_training_does_not_pass_a_mean_unnoticed():
    study = a_study()
    for value in (0.50, 0.51, 0.52):
        add(study, value, version="Bear v1")
    found = rows(study, with_finals({0: [0.60, 0.61], 1: [0.58, 0.60]}))
    assert numbers(found) == [1, 0, 2] and best(found).number == 1
    assert ranking_remarks(study, found) == [
        "trial 2 (Bear v1) reads better (0.5200) but was trained once, the best 3 times: that may be luck."
    ]
    assert ranking_remarks(study, rows(study)) == []


def test_a_finalist_that_lost_a_training_stands_behind_the_whole_ones():
    study = a_study()
    add(study, 0.5)
    add(study, 0.5)
    finals = with_finals({0: [0.5], 1: [0.6, 0.6]})
    add(finals, state=TrialState.FAIL, of=0, stage="repeat", index=2)
    found = rows(study, finals)
    assert [(row.number, row.n) for row in found] == [(1, 3), (0, 2)]


def test_a_refit_is_no_measurement():
    study = a_study()
    add(study, 0.5)
    finals = with_finals({0: [0.6]}, stage="fold")
    add(finals, 0.0, of=0, stage="refit", folder="outputs/bear/v9")
    (row,) = rows(study, finals)
    assert row.values == pytest.approx((0.55,)) and row.n == 2 and row.refit == "outputs/bear/v9"


def test_trials_that_break_a_constraint_come_after_those_that_keep_all():
    study = a_study()
    add(study, 0.1, constraints={"seconds <= 60": 12.0})
    add(study, 0.9, constraints={"seconds <= 60": -1.0})
    add(study, 0.8, constraints={"seconds <= 60": 0.0})
    found = rows(study)
    assert numbers(found) == [2, 1, 0] and best(found).number == study.best_trial.number == 2
    assert [row.reason for row in found] == ["", "", "breaks the constraint seconds <= 60 by 12"]
    assert [row.feasible for row in found] == [True, True, False]
    broken = a_study()
    add(broken, 0.1, constraints={"a": 1.0})
    assert best(rows(broken)) is None
    assert ranking_remarks(broken, rows(broken)) == ["No complete trial keeps the constraints."]


def test_a_trial_that_another_goes_on_with_says_so():
    study = a_study()
    add(study, state=TrialState.FAIL, reason="its lane died")
    add(study, 0.5, retry_of=0)
    assert rows(study)[1].reason == "its lane died; goes on as trial 1"


def test_several_objectives_have_a_front_and_no_best():
    study = a_study("minimize", "maximize")
    for pair in ((0.5, 1.0), (0.4, 0.5), (0.6, 0.9), (0.5, 1.0), (0.3, 0.1)):
        add(study, *pair)
    found = rows(study)
    assert numbers(found) == [4, 1, 0, 3, 2]
    assert [row.pareto for row in found] == [True, True, True, True, False]
    assert best(found) is None
    assert "no single best trial" in ranking_remarks(study, found)[0]


def test_the_front_of_finals_is_that_of_the_finalists():
    study = a_study("minimize", "minimize")
    add(study, 0.5, 0.5)
    add(study, 0.4, 0.4)  # trained once: it must not push the repeated one off the front
    finals = a_study("minimize", "minimize")
    add(finals, 0.7, 0.7, of=0, stage="repeat")
    assert [(row.number, row.pareto) for row in rows(study, finals)] == [(0, True), (1, False)]


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("directions", [*itertools.product(["minimize", "maximize"], repeat=2), ("minimize",) * 3])
def test_the_front_is_optunas(directions, constrained):
    draw = random.Random(3)
    study = a_study(*directions)
    for _ in range(60):
        values = [draw.randint(0, 8) / 8 for _ in directions]  # few values, so that some are equal
        add(study, *values, constraints={"c": draw.choice([-1.0, 1.0])} if constrained else None)
    front = {row.number for row in rows(study) if row.pareto}
    assert front == {trial.number for trial in study.best_trials} and 0 < len(front) < 60


def test_pareto_front_of_nothing_is_nothing():
    assert pareto_front([], [StudyDirection.MINIMIZE]) == []
