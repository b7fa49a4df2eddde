"""`lorasweep train` on a cluster: the command that is submitted, run as SLURM would, on a stand-in for it."""

from __future__ import annotations

import json
import os
import shlex
import stat
import sys
import time
from pathlib import Path

import pytest

from ..warm import Warm

JOB = "7"
PROGRAMS = {
    "sbatch": f"""cp "$1" "$CLUSTER/script"; echo "$LORASWEEP_COMMAND" > "$CLUSTER/command"
mv "$CLUSTER/script" "$CLUSTER/submitted"; echo "Submitted batch job {JOB}" """,
    "srun": "exit 1",
    "squeue": f"[ -e $CLUSTER/over ] || echo {JOB}",
    "scancel": "touch $CLUSTER/cancelled",
}
SEARCH = ["train", "-m", "hydra/sweeper=optuna", "network.rank=2,4", "hydra.sweeper.n_trials=1", "output_root=made",
          "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.sweeper.plots=false",
          "dataset.repeats=1", "training.max_steps=1", "sampling.every_epochs=0", "features=none", "tracker=none",
          "evaluation.timesteps=4", "evaluation.max_images=2"]  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment in which a cluster is there that takes jobs and begins none."""
    for name, script in PROGRAMS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CLUSTER": str(tmp_path)}


def test_what_is_submitted_trains_the_trial(cluster: dict[str, str], tmp_path: Path, warm: Warm) -> None:
    search = warm.start(["lorasweep", *SEARCH], tmp_path, cluster)
    script, deadline = tmp_path / "submitted", time.time() + 120
    while not script.exists():
        assert search.poll() is None and time.time() < deadline, search.wait()
        time.sleep(0.05)
    lines = script.read_text().splitlines()
    assert "#SBATCH --partition=gpu" in lines
    (command,) = [line for line in lines if line.startswith("srun ")]
    python, unbuffered, *words = shlex.split(command)[shlex.split(command).index(sys.executable) :]
    assert (python, unbuffered, words[:2]) == (sys.executable, "-u", ["-m", "submitit.core._submit"])
    of_slurm = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": JOB, "SLURM_JOB_NODELIST": "node1"}
    of_slurm["LORASWEEP_COMMAND"] = (tmp_path / "command").read_text().strip()  # a job has its submitter's environment
    job = warm.run(["python", *words], tmp_path, cluster | of_slurm)
    assert job.returncode == 0, job.stdout + job.stderr
    done = search.wait()
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "made" / "fuzzybear" / "v6" / "record.json").read_text())
    assert record["status"] == "complete" and record["trial"] == {"study": "fuzzybear", "number": 0}
    assert "lorasweep train " in done.stdout and "train.py" not in done.stdout, "the way on is typed as this was"
