"""What a job can say to its trial, and what the study then knows."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

import lorasweep.search
from lorasweep.search.constraint import parse_constraint
from lorasweep.search.identity import VARIABLE, TrialIdentity
from lorasweep.search.storage import open_storage

MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1}


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=open_storage(f"{tmp_path}/journal.log"), study_name="s")


@pytest.fixture
def job(study, tmp_path, monkeypatch):
    """Ask for a trial and put its identity into the environment, as a launcher would."""

    def ask(**changes) -> optuna.Trial:
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        identity = TrialIdentity(f"journal:///{tmp_path}/journal.log", "s", trial._trial_id, trial.number, MEDIAN, 60.0)
        text = replace(identity, **changes).override()
        monkeypatch.setenv(VARIABLE, text.partition("=")[2].strip("'"))
        return trial

    return ask


def test_outside_a_study_there_is_no_trial(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with lorasweep.search.trial() as trial:
        assert trial is None


def test_an_identity_survives_the_way_through_hydra(tmp_path):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    identity = TrialIdentity("postgresql://u:p@h/d?x='1'", "a b", 3, 2, MEDIAN, 5.0, ("seconds <= 3",), "/a")
    override = OverridesParser.create().parse_override(identity.override())
    assert override.get_key_element() == f"+hydra.job.env_set.{VARIABLE}"
    import os
    from unittest import mock

    with mock.patch.dict(os.environ, {VARIABLE: override.value()}):
        assert TrialIdentity.from_environment() == identity


def test_of_several_objectives_nothing_is_reported(tmp_path, monkeypatch):
    """Optuna refuses to be told of a step there: the trial would be lost."""
    url = f"{tmp_path}/journal.log"
    study = optuna.create_study(storage=open_storage(url), study_name="two", directions=["minimize", "maximize"])
    asked = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    identity = TrialIdentity(f"journal:///{url}", "two", asked._trial_id, asked.number, MEDIAN, 60.0)
    monkeypatch.setenv(VARIABLE, identity.override().partition("=")[2].strip("'"))
    with lorasweep.search.trial() as trial:
        assert trial.report(1, 0.5) is None
        trial.finish([0.5, 1.0])
    assert study.trials[0].values == [0.5, 1.0] and not study.trials[0].intermediate_values


def test_a_result_with_everything(study, job, tmp_path):
    asked = job(folder=str(tmp_path))
    (tmp_path / "grid.png").write_bytes(b"picture")
    with lorasweep.search.trial() as trial:
        assert trial.params == asked.params and trial.predecessor is None
        assert trial.report(1, 0.5) is None and trial.report(1, 0.4) is None  # a step counts once
        trial.note(version="FuzzyBear v7", metrics={"steps": 3})
        trial.attach(tmp_path / "grid.png")
        trial.finish(0.25)
        trial.fail("too late")
    told = study.trials[0]
    assert told.state is TrialState.COMPLETE and told.value == 0.25
    assert told.intermediate_values == {1: 0.5}
    assert told.user_attrs["version"] == "FuzzyBear v7" and told.user_attrs["seconds"] >= 0
    (artifact,) = optuna.artifacts.get_all_artifact_meta(told, storage=study._storage)
    assert (tmp_path / "artifacts" / artifact.artifact_id).read_bytes() == b"picture"
    assert told.user_attrs["lease"]["pid"]


def test_a_bad_trial_is_pruned_with_the_reason(study, job):
    for _ in range(2):
        job()
        with lorasweep.search.trial() as trial:
            assert trial.report(1, 1.0) is None
            trial.finish(1.0)
    job()
    with lorasweep.search.trial() as trial:
        reason = trial.report(1, 5.0)
        assert reason is not None and "5 at step 1" in reason and "MedianPruner" in reason
        trial.prune(reason)
    assert study.trials[2].state is TrialState.PRUNED and study.trials[2].user_attrs["reason"] == reason
    job(pruner=None)
    with lorasweep.search.trial() as trial:
        assert trial.report(1, 5.0) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1.0, 2.0]])
def test_what_is_no_number_is_never_a_score(study, job, value):
    job()
    with lorasweep.search.trial() as trial:
        trial.finish(value)
    assert study.trials[0].state is TrialState.FAIL and study.trials[0].values is None
    assert study.trials[0].user_attrs["reason"]


def test_exceptions_and_interruptions_are_told_apart(study, job):
    job()
    with pytest.raises(MemoryError), lorasweep.search.trial():
        raise MemoryError("out of\nmemory")
    job()
    with pytest.raises(SystemExit), lorasweep.search.trial():
        raise SystemExit(143)
    job()
    with pytest.raises(SystemExit), lorasweep.search.trial():
        raise SystemExit(3)
    first, second, third = study.trials
    assert first.user_attrs["reason"] == "MemoryError: out of memory" and "interrupted" not in first.user_attrs
    assert second.state is TrialState.FAIL and second.user_attrs["interrupted"]
    assert third.state is TrialState.FAIL and "interrupted" not in third.user_attrs  # else it would be tried for ever
    assert third.user_attrs["reason"] == "it left by itself, with exit code 3"


def test_constraints_come_from_the_noted_metrics(study, job):
    job(constraints=("seconds <= 10", "size >= 5"))
    with lorasweep.search.trial() as trial:
        trial.note(metrics={"seconds": 12.5, "size": 7})
        trial.finish(1.0)
    assert study.trials[0].constraints == {"seconds <= 10": 2.5, "size >= 5": -2.0}
    job(constraints=("speed <= 10",))
    with lorasweep.search.trial() as trial:
        trial.finish(1.0)
    assert study.trials[1].state is TrialState.FAIL and "speed" in study.trials[1].user_attrs["reason"]
    with pytest.raises(ValueError, match="seconds < 3"):
        parse_constraint("seconds < 3")


def test_a_storage_that_is_away_for_a_moment_costs_nothing(study, job, monkeypatch):
    job()
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    tell, away = study._storage.__class__.set_trial_state_values, [2]

    def flaky(self, *arguments, **named):
        if away[0]:
            away[0] -= 1
            raise StorageInternalError("the server has gone away")
        return tell(self, *arguments, **named)

    monkeypatch.setattr(study._storage.__class__, "set_trial_state_values", flaky)
    with lorasweep.search.trial() as trial:
        trial.finish(0.5)
    assert study.trials[0].value == 0.5 and waits == [1.0, 4.0]
    away[0] = 99
    job()
    with pytest.raises(StorageInternalError), lorasweep.search.trial() as trial:
        trial.finish(0.5)


def test_a_trial_that_was_given_up_is_told_to_stop(study, job):
    job()
    with lorasweep.search.trial() as trial:
        study.tell(0, state=TrialState.FAIL)
        assert "given this trial up" in (trial.report(1, 1.0) or "")
        trial.note(version="x")
        trial.finish(1.0)
    assert study.trials[0].state is TrialState.FAIL


def test_a_retry_that_died_before_it_could_say_anything_hides_nothing(study, job):
    """What the first attempt noted and reported reaches the third."""
    job()
    with pytest.raises(SystemExit), lorasweep.search.trial() as trial:
        trial.note(folder="outputs/bear/v6")
        trial.report(8, 0.5)
        raise SystemExit(143)
    second = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    second.set_user_attr("retry_of", 0)
    study.tell(1, state=TrialState.FAIL)
    job()
    study._storage.set_trial_user_attr(2, "retry_of", 1)
    with lorasweep.search.trial() as trial:
        assert trial.predecessor["folder"] == "outputs/bear/v6" and trial.predecessor["retry_of"] == 0
        assert [attempt.number for attempt in trial.attempts] == [1, 0]
        trial.finish(1.0)
    assert study.trials[2].intermediate_values == {8: 0.5}


def test_numbers_of_any_kind_are_reported_noted_and_finished(study, job):
    import numpy as np
    import torch

    job()
    with lorasweep.search.trial() as trial:
        trial.report(np.int64(1), np.float32(0.5))
        trial.note(metrics={"size": np.float32(2.5), "counts": torch.tensor([1, 2])}, folder=Path("there"))
        trial.finish(torch.tensor(0.25))
    (told,) = study.trials
    assert told.value == 0.25 and told.intermediate_values == {1: 0.5}
    assert told.user_attrs["metrics"] == {"size": 2.5, "counts": [1, 2]} and told.user_attrs["folder"] == "there"


def test_the_traceback_of_a_failed_job_is_kept_in_the_studys_folder(study, job, tmp_path):
    job(folder=str(tmp_path))
    with pytest.raises(KeyError), lorasweep.search.trial():
        raise KeyError("injected")
    assert 'raise KeyError("injected")' in (tmp_path / "failed" / "0.txt").read_text()
