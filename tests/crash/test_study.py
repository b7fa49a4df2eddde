"""Searches that are killed with SIGKILL, in part or whole: nothing is lost, nothing is trained twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from lorasweep.search.storage import open_storage

from ..warm import Child, Warm

APP = """
import json, os, time
import hydra
from lorasweep import search

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    with search.trial() as trial:
        for step in range(4):
            with open("steps.txt", "a") as stream:
                stream.write(json.dumps([trial.number, step]) + chr(10))
            trial.report(step, cfg.x)
            time.sleep(cfg.pause)
        trial.finish(cfg.x)

if __name__ == "__main__":
    main()
"""
LINE = ["hydra/sweeper=optuna", "hydra/sweeper/pruner=none", "hydra.sweeper.plots=false", "hydra.sweep.dir=out",
        "+x=interval(0,1)", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.lease_s=60"]  # fmt: skip
LANES = ["hydra/launcher=lanes", "hydra.sweeper.n_jobs=2"]


@pytest.fixture
def start(tmp_path: Path, warm: Warm) -> Callable[..., Child]:
    """Start a search of the app in `tmp_path`."""
    (tmp_path / "app.py").write_text(APP)

    def begin(*line: str) -> Child:
        return warm.start(["python", "app.py", "-m", *LINE, *line], tmp_path)

    return begin


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = open_storage(f"{folder}/out/journal.log")
    return optuna.load_study(study_name="app", storage=storage).trials


def steps(folder: Path) -> list[tuple[int, int]]:
    """Return (trial, step) of every step that was taken."""
    path = folder / "steps.txt"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition: Callable[[], bool], process: Child | None = None) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, process.wait().stdout
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)


def ends_well(process: Child) -> str:
    done = process.wait()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_lanes_outlive_their_sweeper_and_what_they_finish_counts(start, tmp_path):
    process = start(*LANES, "+pause=0.5", "hydra.sweeper.n_trials=4")
    until(lambda: len({number for number, _ in steps(tmp_path)}) >= 2, process)
    lanes = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(lanes, timeout=60)
    assert not any(lane.is_running() for lane in lanes)  # they finished their trials and left
    assert [t.state for t in trials(tmp_path)] == [TrialState.COMPLETE] * 2
    ends_well(start(*LANES, "+pause=0.5", "hydra.sweeper.n_trials=4"))
    assert [t.state for t in trials(tmp_path)] == [TrialState.COMPLETE] * 4
    assert sorted(steps(tmp_path)) == [(number, step) for number in range(4) for step in range(4)]


def test_sweeper_and_lanes_killed_together(start, tmp_path):
    process = start(*LANES, "+pause=0.5", "hydra.sweeper.n_trials=3")
    until(lambda: len({number for number, _ in steps(tmp_path)}) >= 2, process)
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in reversed(family):
        one.kill()
    process.wait()
    output = ends_well(start(*LANES, "+pause=0.5", "hydra.sweeper.n_trials=3"))
    assert "goes on as trial" in output
    found = trials(tmp_path)
    lost = [t for t in found if t.state is TrialState.FAIL]
    assert [t.number for t in lost] == [0, 1] and all("is gone" in t.user_attrs["reason"] for t in lost)
    again = {t.user_attrs["retry_of"]: t for t in found if "retry_of" in t.user_attrs}
    assert {number: t.params for number, t in again.items()} == {t.number: t.params for t in lost}
    assert sum(t.state is TrialState.COMPLETE for t in found) == 3
    for t in lost:  # what the first attempt had reported is part of the second
        assert set(t.intermediate_values) <= set(again[t.number].intermediate_values)


def test_a_lane_killed_costs_one_attempt_and_nobody_else_anything(start, tmp_path):
    process = start(*LANES, "+pause=0.5", "hydra.sweeper.n_trials=3")
    until(lambda: len({number for number, _ in steps(tmp_path)}) >= 2, process)
    victim = trials(tmp_path)[0].user_attrs["lease"]["pid"]
    assert victim != process.pid
    os.kill(victim, signal.SIGKILL)
    output = ends_well(process)
    assert "was killed by signal 9" in output
    found = trials(tmp_path)
    assert found[0].state is TrialState.FAIL and sum(t.state is TrialState.COMPLETE for t in found) == 3
    taken = [number for number, _ in steps(tmp_path)]
    assert all(taken.count(t.number) == 4 for t in found if t.state is TrialState.COMPLETE)


def test_two_sweepers_share_a_study(start, tmp_path):
    first, second = (start("+pause=0.1", "hydra.sweeper.n_trials=8") for _ in range(2))
    ends_well(first)
    ends_well(second)
    found = trials(tmp_path)
    assert all(t.state is TrialState.COMPLETE for t in found) and 8 <= len(found) <= 9
    assert sorted(steps(tmp_path)) == [(t.number, step) for t in found for step in range(4)]
    assert len({t.user_attrs["lease"]["pid"] for t in found}) == 2
