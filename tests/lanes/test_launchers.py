"""Plain grids on the lanes, run as a user runs them: a script of a foreign app, its own modules beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lorasweep.lanes.opening import open_lanes
from lorasweep.lanes.work import Ended, Work

SCRIPT = """
from dataclasses import dataclass

import hydra
import toy_tasks
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf


@dataclass
class Extra:  # classes, resolvers and configs of the script itself must reach the lanes too
    factor: int = 10


ConfigStore.instance().store("ten", Extra, group="extra")
OmegaConf.register_new_resolver("plus_one", lambda number: int(number) + 1)


@hydra.main(version_base="1.3", config_path="conf", config_name="script")
def main(config):
    value = toy_tasks.task(config)
    print("value", value, "extra", Extra(factor=config.extra.factor).factor, "resolved", config.resolved, flush=True)
    return value


if __name__ == "__main__":
    main()
"""


class Grid:
    """A multirun of the script."""

    def __init__(self, folder: Path, *line: str) -> None:
        self.folder = folder / "multi run"
        self.process = subprocess.Popen(
            [sys.executable, "app/script.py", "-m", f"hydra.sweep.dir='{self.folder}'", *line],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> str:
        """Wait until it has ended and return its output."""
        return self.process.communicate(timeout=120)[0]

    def pid(self, number: int) -> int:
        """Return the process that runs a job."""
        return int((self.folder / str(number) / "began").read_text())

    def has(self, number: int, name: str) -> bool:
        """Return whether a job has left the file `name`."""
        return (self.folder / str(number) / name).exists()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Callable[..., Grid]]:
    """A function that starts a multirun of the script on the lanes; what is left of it is killed at the end."""
    app = tmp_path / "app"
    (app / "conf").mkdir(parents=True)
    (app / "script.py").write_text(SCRIPT)
    (app / "toy_tasks.py").write_text((Path(__file__).parent / "toy_tasks.py").read_text())
    (app / "conf" / "script.yaml").write_text(
        "defaults: [{extra: ten}, _self_]\nx: 1\ndo: double\nuntil: null\nresolved: ${plus_one:${x}}\n"
    )
    started: list[Grid] = []

    def start(*line: str) -> Grid:
        started.append(Grid(tmp_path, "hydra/launcher=lanes", *line))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_grid_runs_on_the_lanes(grid: Callable[..., Grid]) -> None:
    run = grid("x=4,5,6", "hydra.launcher.n_jobs=1")
    output = run.finish()
    assert run.process.returncode == 0, output
    assert [line.rpartition(" : ")[2] for line in output.splitlines() if " : " in line] == ["x=4", "x=5", "x=6"]
    assert [line.partition(" returned ")[2] for line in output.splitlines() if "returned" in line] == [
        "8 (x=4)",
        "10 (x=5)",
        "12 (x=6)",
    ]
    log = (run.folder / "lanes" / "lane-0.log").read_text()
    assert "value 8 extra 10 resolved 5" in log and "value 12 extra 10 resolved 7" in log
    assert (run.folder / "2" / ".hydra" / "overrides.yaml").read_text() == "- x=6\n"


def test_a_grid_says_how_it_goes_where_hydras_logging_is_off(grid: Callable[..., Grid]) -> None:
    quiet = ("hydra/hydra_logging=none", "hydra/job_logging=none")
    run = grid("x=4,5", "do=double", "hydra.launcher.n_jobs=1", *quiet)
    assert run.finish().splitlines() == [
        f"Launching 2 jobs on 1 lane, whose output goes to {run.folder}/lanes",
        "#0 : x=4 do=double",
        "#0 returned 8 (x=4)",
        "#1 : x=5 do=double",
        "#1 returned 10 (x=5)",
    ]


def test_a_failed_job_and_a_dead_lane_end_the_grid_last(grid: Callable[..., Grid]) -> None:
    run = grid("do=raise,kill,double", "hydra.launcher.n_jobs=1")
    output = run.finish()
    assert run.process.returncode == 1
    assert f"#0 (do=raise) failed: ValueError: x is bad; its output is in {run.folder}/lanes/lane-0.log" in output
    assert "#1 (do=kill) failed: lane 0 (pid" in output and "killed by signal 9 (SIGKILL)" in output
    assert "2 of 3 jobs failed: #0, #1" in output
    assert "value 2" in (run.folder / "lanes" / "lane-0.log").read_text()
    assert "Error executing job with overrides: ['do=raise']" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_grid_saves_and_leaves(
    grid: Callable[..., Grid], until: Callable[..., None], number: int
) -> None:
    run = grid("do=save", "x=1,2,3")
    until(lambda: run.has(0, "ready") and run.has(1, "ready"))
    run.process.send_signal(number)
    run.finish()
    assert run.process.returncode in (128 + number, -number)
    assert run.has(0, "saved") and run.has(1, "saved") and not run.has(2, "began")
    assert not alive(run.pid(0)) and not alive(run.pid(1))


def test_when_the_controller_is_killed_the_lanes_finish_their_work_and_leave(
    grid: Callable[..., Grid], until: Callable[..., None], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = grid("do=wait,double,pid", f"until={go}")
    until(lambda: run.has(0, "began") and run.has(2, "began"))
    pids = [run.pid(0), run.pid(2)]
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    until(lambda: not alive(pids[1]))  # it had nothing to do any more
    assert alive(pids[0]) and not run.has(0, "ended")
    go.touch()
    until(lambda: not alive(pids[0]))
    assert run.has(0, "ended")


def test_submitit_runs_each_trial_as_a_job_of_its_own(
    toy_app: Any, monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv("PYTHONPATH", sys.path[0])  # submitit leaves it to the user where an app's modules are
    lanes = open_lanes(toy_app.launcher("submitit_local", "hydra.launcher.timeout_min=5"), 3)
    lanes.start(Work(0, ("do=save",)))
    lanes.start(Work(3, ("do=kill",)))
    lanes.start(Work(4, ("do=job", "+hydra.job.env_set.TOY=bear")))
    with pytest.raises(RuntimeError, match="3 lanes are busy"):
        lanes.start(Work(5, ()))
    ended: dict[int, Ended] = {}
    while len(ended) < 2:
        got = lanes.wait(60)
        assert got, "nothing ended"
        ended |= {one.number: one for one in got}
    assert ended[3].crashed and "left without a result" in str(ended[3].error)
    assert ended[4].value[0] == 4 and ended[4].value[2:] == ["bear", "4"]
    until((toy_app.job(0) / "ready").exists)
    lanes.stop()
    (saved,) = lanes.wait(0)
    assert saved.number == 0 and saved.crashed and (toy_app.job(0) / "saved").exists()
    assert not alive(int((toy_app.job(0) / "began").read_text()))
