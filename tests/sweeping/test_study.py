"""Leases, what counts, and what is tried again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from lorasweep.sweeping import lease
from lorasweep.sweeping import study as studies
from lorasweep.sweeping.lease import LeaseKeeper, dead
from lorasweep.sweeping.settings import Settings
from lorasweep.sweeping.storage import open_storage

SETTINGS = Settings(sampler={}, pruner={}, retries=1, lease_s=3.0)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=open_storage(f"{tmp_path}/journal.log"), study_name="s")


def asked(study: optuna.Study) -> optuna.trial.FrozenTrial:
    number = study.ask({"n": IntDistribution(1, 9)}).number
    return study.trials[number]


def sign(study: optuna.Study, trial: optuna.trial.FrozenTrial, **changes) -> optuna.trial.FrozenTrial:
    signed = lease.signature() | {"expires": time.time() + 3} | changes
    study._storage.set_trial_user_attr(trial._trial_id, "lease", signed)
    return study.trials[trial.number]


def test_who_is_dead(study):
    now = time.time()
    trial = asked(study)
    assert dead(trial, 3.0, trial.datetime_start.timestamp()) is None
    assert "signed" in dead(trial, 3.0, trial.datetime_start.timestamp() + 10)
    assert dead(sign(study, trial), 3.0, now + 100) is None  # this very process, late as it may be
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert "is gone" in dead(sign(study, trial, pid=gone.pid), 3.0, now)
    assert "is gone" in dead(sign(study, trial, started=1.0), 3.0, now)  # the number went to another process
    far = sign(study, trial, host="elsewhere pid:[1]", job="17")
    assert dead(far, 3.0, now) is None
    assert "no sign of life" in dead(far, 3.0, now + 10) and "job 17" in dead(far, 3.0, now + 10)


def test_a_keeper_renews_until_dropped_or_outlived(study):
    trial = asked(study)
    keeper = LeaseKeeper(study._storage, 0.3)
    keeper.take(trial._trial_id)

    def expiry() -> float:
        return study.trials[0].user_attrs["lease"]["expires"]

    first = expiry()
    deadline = time.monotonic() + 20
    while expiry() <= first and time.monotonic() < deadline:
        time.sleep(0.05)
    assert expiry() > first
    sign(study, trial, pid=1)  # the job has started and signs for itself
    while keeper._held and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not keeper._held and study.trials[0].user_attrs["lease"]["pid"] == 1
    sign(study, trial)
    keeper.take(trial._trial_id)
    study.tell(0, state=TrialState.FAIL)
    while not keeper.lost and time.monotonic() < deadline:
        time.sleep(0.05)
    assert keeper.lost == {trial._trial_id}
    keeper.close()


def test_a_dead_trial_is_buried_once_and_tried_again_once(study):
    trial = sign(study, asked(study), pid=2**22 + 1)
    lines = studies.reap(study, SETTINGS, {})
    assert len(lines) == 1 and "goes on as trial 1" in lines[0]
    first, again = study.trials
    assert first.state is TrialState.FAIL and "is gone" in first.user_attrs["reason"]
    assert again.state is TrialState.WAITING and again.user_attrs["retry_of"] == 0
    assert studies.bury(study, trial, "late", SETTINGS, interrupted=False) == ""  # somebody else was faster
    assert studies.requeue(study, SETTINGS) == {}
    assert studies.counted(study.trials) == [] and studies.failures(study.trials) == []
    retry = study.ask({"n": IntDistribution(1, 9)})
    assert retry.number == 1 and retry.params == first.params
    sign(study, study.trials[1], pid=2**22 + 1)
    assert "goes on" not in studies.reap(study, SETTINGS, {})[0]  # one retry, no more
    assert [t.number for t in studies.failures(study.trials)] == [1]


def test_an_interruption_costs_no_retry(study):
    for number in range(3):
        trial = asked(study)
        assert trial.number == number
        studies.bury(study, trial, "interrupted", SETTINGS, interrupted=True)
    assert study.trials[3].state is TrialState.WAITING and study.trials[3].user_attrs["attempt"] == 0
    assert len(study.trials) == 4


def test_what_its_own_sweeper_runs_is_not_reaped(study):
    sign(study, asked(study), pid=2**22 + 1)
    assert studies.reap(study, SETTINGS, {0: 0}) == []
    assert os.getpid() > 0
