"""On a real SLURM: `eval "$(.ci/slurm.sh)"` installs and starts one; without one these tests are skipped."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lorasweep.lanes.opening import open_lanes
from lorasweep.lanes.submissions import Submissions
from lorasweep.lanes.work import Ended, Work


def missing() -> str | None:
    """Return why there is no SLURM to test with, or None."""
    if shutil.which("sinfo") is None:
        return "SLURM is not installed; .ci/slurm.sh does that"
    answer = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True)
    if answer.returncode:
        return f"no SLURM controller answers: {answer.stderr.strip().splitlines()[-1]}"
    try:
        import hydra_plugins.hydra_submitit_launcher  # noqa: F401
    except ImportError:
        return "hydra-submitit-launcher is not installed"
    return None


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def squeue() -> list[str]:
    return subprocess.run(["squeue", "-h", "-o", "%A"], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def slurm(toy_app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Submissions]]:
    """A function that opens lanes on the cluster; what is left of their jobs is cancelled at the end."""
    monkeypatch.setenv("PYTHONPATH", sys.path[0])  # submitit leaves it to the user where an app's modules are
    opened: list[Submissions] = []

    def make(n_jobs: int, *overrides: str) -> Submissions:
        settings = ["hydra.launcher.timeout_min=5", "hydra.launcher.cpus_per_task=1", *overrides]
        lanes = open_lanes(toy_app.launcher("submitit_slurm", *settings), n_jobs)
        assert isinstance(lanes, Submissions)
        opened.append(lanes)
        return lanes

    yield make
    for lanes in opened:
        lanes.close()


def collect(lanes: Submissions, count: int) -> dict[int, Ended]:
    """Wait until `count` jobs have ended."""
    ended: dict[int, Ended] = {}
    while len(ended) < count:
        got = lanes.wait(120)
        assert got, "nothing ended"
        ended |= {one.number: one for one in got}
    return ended


def test_jobs_run_on_slurm_each_as_soon_as_a_lane_is_free(slurm: Callable[..., Submissions], tmp_path: Path) -> None:
    lanes = slurm(2)
    go = tmp_path / "go"
    lanes.start(Work(0, ("do=wait", f"until={go}")))
    lanes.start(Work(1, ("x=4",)))
    assert collect(lanes, 1) == {1: Ended(1, value=8)}
    lanes.start(Work(5, ("do=job", "+hydra.job.env_set.TOY=bear")))
    (there,) = collect(lanes, 1).values()
    number, job, toy, folder = there.value
    assert (number, toy, folder) == (5, "bear", "5")
    assert int(job) > 0 and lanes.wait(0.1) == []
    go.touch()
    assert collect(lanes, 1) == {0: Ended(0, value=1)}


def test_a_job_that_fails_is_killed_or_leaves_does_not_touch_the_others(slurm: Callable[..., Submissions]) -> None:
    lanes = slurm(4)
    for number, what in enumerate(["raise", "kill", "sys.exit", "double"]):
        lanes.start(Work(number, (f"do={what}",)))
    ended = collect(lanes, 4)
    assert ended[0] == Ended(0, error="ValueError: x is bad")
    assert ended[1].crashed and "left without a result" in str(ended[1].error)
    assert ended[2].crashed and "Exited with exit code 3" in str(ended[2].error)
    assert ended[3] == Ended(3, value=2)


def test_a_job_that_cannot_be_composed_or_submitted_says_why(slurm: Callable[..., Submissions]) -> None:
    lanes = slurm(1)
    lanes.start(Work(0, ("nonsense=1",)))
    (ended,) = collect(lanes, 1).values()
    assert not ended.crashed and "Could not override 'nonsense'" in str(ended.error)
    lanes = slurm(1, "hydra.launcher.partition=moon")
    lanes.start(Work(1, ()))
    (ended,) = collect(lanes, 1).values()
    assert not ended.crashed and "invalid partition" in str(ended.error)


def test_stop_lets_jobs_save_and_takes_back_those_that_wait(
    slurm: Callable[..., Submissions], toy_app: Any, until: Callable[..., None]
) -> None:
    cores = int(subprocess.run(["sinfo", "-h", "-o", "%c"], capture_output=True, text=True).stdout)
    lanes = slurm(2, f"hydra.launcher.cpus_per_task={cores}")  # so that the second job has to wait
    lanes.start(Work(0, ("do=save",)))
    until((toy_app.job(0) / "ready").exists)
    lanes.start(Work(1, ()))
    lanes.stop()
    ended = {one.number: one for one in lanes.wait(0)}
    assert (toy_app.job(0) / "saved").read_text() == str(int(signal.SIGINT))
    assert not (toy_app.job(1) / "began").exists()
    assert ended[0].crashed and ended[1].crashed
    assert not squeue()
