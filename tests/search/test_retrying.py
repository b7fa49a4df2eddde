"""What counts of a study's trials, what is tried again, and how often."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState

from lorasweep.search import lease
from lorasweep.search.budget import DIED, KILLED, ORPHANED, deaths, failures, spent
from lorasweep.search.retrying import mark_dead, reap, requeue, revive
from lorasweep.search.settings import Settings
from lorasweep.search.storage import open_storage

SETTINGS = Settings(retries=1, lease_s=3.0)
SPACE = {"n": IntDistribution(1, 9)}


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=open_storage(f"{tmp_path}/journal.log"), study_name="s")


def asked(study: optuna.Study, *reached: int) -> FrozenTrial:
    """Ask for a trial; it reports at the given steps."""
    trial = study.ask(SPACE)
    for step in reached:
        trial.report(1.0, step)
    return study.trials[trial.number]


def signed_by_the_dead(study: optuna.Study, trial: FrozenTrial) -> None:
    study._storage.set_trial_user_attr(
        trial._trial_id, "lease", lease.this_process() | {"pid": 2**22 + 1, "expires": 0}
    )


def test_a_trial_whose_search_was_killed_goes_on_however_often_that_happens(study: optuna.Study) -> None:
    for number in range(6):
        trial = asked(study)
        assert trial.number == number and (number == 0 or trial.user_attrs["retry_of"] == number - 1)
        signed_by_the_dead(study, trial)
        (line,) = reap(study, SETTINGS, {})
        assert "is gone" in line and f"goes on as trial {number + 1}" in line
    assert {t.params["n"] for t in study.trials[:6]} == {study.trials[0].params["n"]}
    assert spent(study.trials) == [] and failures(study.trials) == []


def test_without_retries_it_is_given_up_but_is_no_failure(study: optuna.Study) -> None:
    signed_by_the_dead(study, asked(study))
    (line,) = reap(study, Settings(retries=0), {})
    assert "goes on" not in line
    assert [t.number for t in spent(study.trials)] == [0] and failures(study.trials) == []


def test_a_process_that_dies_under_the_search_is_tried_again_once(study: optuna.Study) -> None:
    assert "goes on as trial 1" in mark_dead(study, asked(study), "segfault", SETTINGS, lost=DIED)
    assert mark_dead(study, study.trials[0], "late", SETTINGS, lost=DIED) == ""  # somebody else was faster
    assert requeue(study, SETTINGS) == {}
    assert "goes on" not in mark_dead(study, asked(study), "segfault", SETTINGS, lost=DIED)
    assert [t.number for t in failures(study.trials)] == [1]


def test_a_process_that_is_killed_under_the_search_is_no_failure_in_the_end_either(study: optuna.Study) -> None:
    for _ in range(2):
        last = mark_dead(study, asked(study), "killed", SETTINGS, lost=KILLED)
    assert "goes on" not in last
    assert [t.number for t in spent(study.trials)] == [1] and failures(study.trials) == []


def test_a_trial_that_gets_further_each_time_is_not_given_up(study: optuna.Study) -> None:
    for number in range(5):  # a time limit that is shorter than a training
        assert "goes on" in mark_dead(study, asked(study, number), "time limit", SETTINGS, lost=KILLED)
    assert "goes on" not in mark_dead(
        study, asked(study, 4), "time limit", SETTINGS, lost=KILLED
    )  # where the last one was


def test_what_an_earlier_release_called_lost_counts_as_a_death(study: optuna.Study) -> None:
    trial = asked(study)
    study._storage.set_trial_user_attr(trial._trial_id, "lost", True)
    study.tell(0, state=TrialState.FAIL)
    assert deaths(study.trials, study.trials[0]) == 1
    assert requeue(study, SETTINGS) == {0: 1}


def test_an_interruption_costs_no_retry(study: optuna.Study) -> None:
    for number in range(3):
        trial = asked(study)
        assert trial.number == number
        mark_dead(study, trial, "interrupted", Settings(retries=0))
    assert study.trials[3].state is TrialState.WAITING and len(study.trials) == 4


def test_what_its_own_sweeper_runs_is_not_reaped(study: optuna.Study) -> None:
    signed_by_the_dead(study, asked(study))
    assert reap(study, SETTINGS, {0: 0}) == []


def test_a_follower_is_there_for_the_same(study: optuna.Study) -> None:
    trial = asked(study)
    for key, value in (("of", 3), ("stage", "repeat"), ("index", 1), ("extra", ["seed=9"])):
        study._storage.set_trial_user_attr(trial._trial_id, key, value)
    mark_dead(study, study.trials[0], "killed", SETTINGS, lost=ORPHANED)
    assert study.trials[1].user_attrs == {
        "of": 3,
        "stage": "repeat",
        "index": 1,
        "extra": ["seed=9"],
        "retry_of": 0,
    }


def test_only_a_study_that_failures_stopped_tries_them_again(study: optuna.Study) -> None:
    settings = Settings(n_trials=4, max_failure_rate=0.5)
    for _ in range(2):
        study._storage.set_trial_user_attr(asked(study)._trial_id, "reason", "KeyError: 'x'")
        study.tell(len(study.trials) - 1, state=TrialState.FAIL)
    assert revive(study, settings) is None
    asked(study)
    study.tell(2, state=TrialState.FAIL)  # three of four: more than half, as an earlier release left it
    assert "3 trials had failed" in str(revive(study, settings))
    assert [t.user_attrs.get("retry_of") for t in study.trials[3:]] == [0, 1, 2]
    assert revive(study, settings) is None
