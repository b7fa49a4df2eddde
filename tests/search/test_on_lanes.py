"""Studies whose trials run on lanes: child processes, and the jobs of a real SLURM where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def no_slurm() -> bool:
    """Return whether no SLURM answers here; `.ci/slurm.sh` installs and starts one."""
    return shutil.which("sinfo") is None or subprocess.run(["sinfo", "-h"], capture_output=True).returncode != 0


def test_a_study_on_lanes_outlives_lanes_that_are_killed(
    app: Callable[..., Any], study_of: Callable[..., Any], tmp_path: Path
) -> None:
    done = app(
        "hydra/launcher=lanes",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=2",
        "how=killed",
        "x=interval(0.0,1.0)",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trials = study_of().trials
    killed = [trial for trial in trials if trial.state.name == "FAIL"]
    assert len(killed) == 2 and all("(SIGKILL)" in trial.user_attrs["reason"] for trial in killed)
    retries = {trial.user_attrs["retry_of"] for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")}
    assert retries == {trial.number for trial in killed}
    assert {log.name for log in (tmp_path / "swept" / "lanes").iterdir()} == {"lane-0.log", "lane-1.log"}


@pytest.mark.skipif(no_slurm(), reason="no SLURM controller answers; .ci/slurm.sh starts one")
def test_a_study_runs_on_slurm(app: Callable[..., Any], study_of: Callable[..., Any]) -> None:
    settings = ["hydra.launcher.timeout_min=5", "hydra.launcher.cpus_per_task=1", "hydra.sweeper.n_jobs=2"]
    done = app("hydra/launcher=submitit_slurm", *settings, "hydra.sweeper.n_trials=5", "x=interval(0.0,1.0)")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = study_of().trials
    assert [trial.number for trial in trials] == list(range(5))
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert all(trial.user_attrs["lease"]["job"] for trial in trials)  # held by the job on the cluster
    assert len({trial.user_attrs["lease"]["job"] for trial in trials}) == 5
