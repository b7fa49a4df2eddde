"""Leases: who is dead."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from lorasweep.search import lease
from lorasweep.search.lease import LeaseKeeper, why_stale
from lorasweep.search.storage import open_storage


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=open_storage(f"{tmp_path}/journal.log"), study_name="s")


def asked(study: optuna.Study) -> optuna.trial.FrozenTrial:
    number = study.ask({"n": IntDistribution(1, 9)}).number
    return study.trials[number]


def sign(study: optuna.Study, trial: optuna.trial.FrozenTrial, **changes) -> optuna.trial.FrozenTrial:
    signed = lease.this_process() | {"expires": time.time() + 3} | changes
    study._storage.set_trial_user_attr(trial._trial_id, "lease", signed)
    return study.trials[trial.number]


def test_who_is_dead(study):
    now = time.time()
    trial = asked(study)
    assert why_stale(trial, 3.0, trial.datetime_start.timestamp()) is None
    assert "took a lease" in why_stale(trial, 3.0, trial.datetime_start.timestamp() + 10)
    assert why_stale(sign(study, trial), 3.0, now + 100) is None  # this very process, late as it may be
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert "is gone" in why_stale(sign(study, trial, pid=gone.pid), 3.0, now)
    assert "is gone" in why_stale(sign(study, trial, started=1.0), 3.0, now)  # the number went to another process
    far = sign(study, trial, host="elsewhere pid:[1]", job="17")
    assert why_stale(far, 3.0, now) is None
    assert "no heartbeat" in why_stale(far, 3.0, now + 10) and "job 17" in why_stale(far, 3.0, now + 10)


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
    sign(study, trial, pid=1)  # the job has started and holds the lease itself
    while keeper._trials and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not keeper._trials and study.trials[0].user_attrs["lease"]["pid"] == 1
    sign(study, trial)
    keeper.take(trial._trial_id)
    study.tell(0, state=TrialState.FAIL)
    while keeper._trials and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not keeper._trials
    keeper.close()
