from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException

from lorasweep.errors import UserError
from lorasweep.lanes.launcher import share
from lorasweep.lanes.launchers import Batches, OneAfterAnother
from lorasweep.lanes.opening import open_lanes
from lorasweep.lanes.processes import ProcessLanes
from lorasweep.lanes.settings import visible_gpus
from lorasweep.lanes.work import Ended, Lanes, Work, failure_reason


def work(number: int, *overrides: str) -> Work:
    return Work(number, overrides)


def run_all(lanes: Lanes, works: Sequence[Work]) -> dict[int, Ended]:
    """Run `works`, as many at once as there are lanes."""
    waiting, ended = list(works), {}
    running = 0
    while waiting or running:
        while waiting and running < lanes.capacity:
            lanes.start(waiting.pop(0))
            running += 1
        for one in lanes.wait(30):
            ended[one.number] = one
            running -= 1
    return ended


def wait_for(lanes: Lanes, count: int) -> dict[int, Ended]:
    """Wait until `count` pieces of work have ended."""
    ended: list[Ended] = []
    while len(ended) < count:
        got = lanes.wait(30)
        assert got, "nothing ended"
        ended += got
    return {one.number: one for one in ended}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def processes(toy_app: Any) -> Iterator[Callable[..., ProcessLanes]]:
    """A function that opens lanes in processes; they are closed at the end."""
    opened: list[ProcessLanes] = []

    def make(n_jobs: int = 2, *overrides: str) -> ProcessLanes:
        lanes = open_lanes(toy_app.launcher("lanes", *overrides), n_jobs)
        assert isinstance(lanes, ProcessLanes)
        opened.append(lanes)
        return lanes

    yield make
    for lanes in opened:
        lanes.close()


# One after another, in this process


@pytest.fixture
def here(toy_app: Any) -> OneAfterAnother:
    lanes = open_lanes(toy_app.launcher("basic"), 4)
    assert isinstance(lanes, OneAfterAnother)
    return lanes


def test_the_basic_launcher_is_one_lane_in_this_process(here: OneAfterAnother) -> None:
    assert here.capacity == 1
    ended = run_all(here, [work(3, "x=5"), work(4, "do=pid")])
    assert ended == {3: Ended(3, value=10), 4: Ended(4, value=os.getpid())}
    assert here.wait(5) == []  # at once: nothing runs


def test_a_failing_job_is_one_line_and_the_lane_goes_on(here: OneAfterAnother, capsys: Any) -> None:
    ended = run_all(here, [work(0, "do=raise"), work(1, "do=sys.exit"), work(2, "y=1"), work(3)])
    assert ended[0] == Ended(0, error="ValueError: x is bad")
    assert ended[1] == Ended(1, error="SystemExit: 3")
    assert "Could not override 'y'" in str(ended[2].error) and "\n" not in str(ended[2].error)
    assert ended[3].value == 2
    assert capsys.readouterr().err == ""


def test_full_errors_are_shown_on_demand(here: OneAfterAnother, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    run_all(here, [work(0, "do=raise")])
    assert "and this is why" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_of_this_process_passes_through(toy_app: Any, here: OneAfterAnother, number: int) -> None:
    here.start(work(0, "do=save"))
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number) if (toy_app.job(0) / "ready").exists() else 0)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(SystemExit) as left:
            here.wait(30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert left.value.code == 128 + number
    assert (toy_app.job(0) / "saved").exists()
    assert here.wait(0) == []


# Batches


class FakeLauncher:
    """A launcher that notes its batches and does as told."""

    def __init__(self, inner: Any, fail: Exception | None = None) -> None:
        self.inner, self.fail = inner, fail
        self.hydra_context, self.config = inner.hydra_context, inner.config
        self.batches: list[tuple[list[list[str]], int]] = []

    def launch(self, job_overrides: list[list[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.batches.append((job_overrides, initial_job_idx))
        if self.fail is not None:
            raise self.fail
        return self.inner.launch(job_overrides, initial_job_idx)


def batches(toy_app: Any, n_jobs: int, *overrides: str, fail: Exception | None = None) -> tuple[Batches, FakeLauncher]:
    launcher = FakeLauncher(toy_app.launcher("basic", *overrides), fail)
    lanes = open_lanes(launcher, n_jobs)  # type: ignore[arg-type]
    assert isinstance(lanes, Batches)
    return lanes, launcher


def test_other_launchers_get_what_was_started_as_one_batch(toy_app: Any) -> None:
    lanes, launcher = batches(toy_app, 3)
    for one in (work(7, "x=7"), work(5, "x=5"), work(6, "do=raise")):
        lanes.start(one)
    with pytest.raises(RuntimeError, match="3 jobs"):
        lanes.start(work(8))
    ended = {one.number: one for one in lanes.wait(0)}
    assert launcher.batches == [([["x=5"], ["do=raise"], ["x=7"]], 5)]
    assert ended == {5: Ended(5, value=10), 6: Ended(6, error="ValueError: x is bad"), 7: Ended(7, value=14)}
    assert lanes.wait(0) == []


def test_after_a_gap_in_the_numbers_a_job_still_has_its_own_folder(toy_app: Any) -> None:
    lanes, _ = batches(toy_app, 3, "hydra.sweep.subdir=t-${hydra.job.num}-${x}")
    for number in (2, 4, 9):
        lanes.start(work(number, "do=job", f"x={number}"))
    folders = {one.number: one.value[3] for one in lanes.wait(0)}
    assert folders == {2: "t-2-2", 4: "t-4-4", 9: "t-9-9"}


def test_a_failing_launcher_leaves_every_job_of_the_batch_crashed(toy_app: Any) -> None:
    lanes, _ = batches(toy_app, 2, fail=RuntimeError("no such partition\nsbatch: error"))
    lanes.start(work(0))
    lanes.start(work(1))
    reason = "FakeLauncher failed: RuntimeError: no such partition"
    assert lanes.wait(0) == [Ended(0, error=reason, crashed=True), Ended(1, error=reason, crashed=True)]


def test_what_has_not_begun_is_dropped_on_stop(toy_app: Any, here: OneAfterAnother) -> None:
    lanes, launcher = batches(toy_app, 2)
    for place in (lanes, here):
        place.start(work(0))
        place.stop()
        assert place.wait(0) == []
        place.close()
    assert launcher.batches == []


def test_joblib_runs_a_batch_in_processes(toy_app: Any) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    lanes = open_lanes(toy_app.launcher("joblib", "hydra.launcher.n_jobs=2"), 2)
    ended = run_all(lanes, [work(0, "x=4"), work(1, "do=raise"), work(2, "do=job")])
    assert ended[0].value == 8 and ended[1].error == "ValueError: x is bad"
    assert ended[2].value[0] == 2


# Processes


def test_jobs_run_in_processes_that_keep_what_they_loaded(
    toy_app: Any, processes: Callable[..., ProcessLanes], capfd: Any
) -> None:
    lanes = processes(1)
    ended = run_all(lanes, [work(0, "x=4"), work(1, "do=pid"), work(2, "do=pid"), work(3, "do=loaded")])
    assert ended[0].value == 8
    assert ended[1].value == ended[2].value != os.getpid()
    assert ended[3].value == 4
    assert "x is 4" in (toy_app.job(0) / "toy.log").read_text()  # Hydra's own log of the job
    assert "x is 4" not in (toy_app.job(1) / "toy.log").read_text()
    assert "--- 3: do=loaded" in (toy_app.folder / "lanes" / "lane-0.log").read_text()
    assert capfd.readouterr() == ("", "")  # a table on the terminal stays whole
    lanes.close()
    assert not alive(ended[1].value)


def test_a_job_has_its_number_its_folder_and_its_identity(processes: Callable[..., ProcessLanes]) -> None:
    ended = run_all(processes(1), [work(17, "do=job", "+hydra.job.env_set.TOY=bear"), work(18, "do=job")])
    assert ended[17].value == [17, "17", "bear", "17"]
    assert ended[18].value == [18, "18", None, "18"]


def test_a_free_lane_takes_the_next_work_at_once(
    toy_app: Any, processes: Callable[..., ProcessLanes], tmp_path: Path
) -> None:
    lanes = processes(2)
    go = tmp_path / "go"
    lanes.start(work(0, "do=wait", f"until={go}"))
    for number in (1, 2, 3):
        lanes.start(work(number, f"x={number}"))
        assert wait_for(lanes, 1) == {number: Ended(number, value=2 * number)}
    assert lanes.wait(0.1) == []
    lanes.start(work(4))
    with pytest.raises(RuntimeError, match="2 lanes are busy"):
        lanes.start(work(5))
    go.touch()
    assert set(wait_for(lanes, 2)) == {0, 4}


def test_lanes_are_started_when_they_are_needed(toy_app: Any, processes: Callable[..., ProcessLanes]) -> None:
    run_all_in = processes(8)
    for number in range(3):
        run_all_in.start(work(number))
        wait_for(run_all_in, 1)
    assert [log.name for log in (toy_app.folder / "lanes").iterdir()] == ["lane-0.log"]


def test_a_job_that_fails_or_exits_does_not_end_its_lane(toy_app: Any, processes: Callable[..., ProcessLanes]) -> None:
    whats = ["raise", "sys.exit", "unpicklable", "pid", "nonsense"]
    lanes = processes(1)
    first = run_all(lanes, [work(9, "do=pid")])[9].value
    ended = run_all(lanes, [work(number, f"do={what}") for number, what in enumerate(whats)] + [work(5, "z=1")])
    assert ended[0] == Ended(0, error="ValueError: x is bad")
    assert ended[1] == Ended(1, error="SystemExit: 3")
    assert "Unpicklable that cannot be sent: not for export" in str(ended[2].error)
    assert ended[3].value == first
    assert ended[4].error == "AssertionError: nonsense"
    assert "Could not override 'z'" in str(ended[5].error)
    assert "and this is why" in (toy_app.folder / "lanes" / "lane-0.log").read_text()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("kill", "was killed by signal 9 (SIGKILL)"),
        ("segfault", "was killed by signal 11 (SIGSEGV)"),
        ("os._exit", "ended with exit code 7 in the middle of its work"),
    ],
)
def test_a_dead_lane_is_told_and_replaced_and_the_others_go_on(
    toy_app: Any, processes: Callable[..., ProcessLanes], tmp_path: Path, what: str, words: str
) -> None:
    lanes = processes(2)
    go = tmp_path / "go"
    lanes.start(work(0, "do=wait", f"until={go}"))
    lanes.start(work(1, f"do={what}"))
    (crash,) = lanes.wait(30)
    pid = (toy_app.job(1) / "began").read_text()
    assert crash.number == 1 and crash.crashed
    assert crash.error is not None and crash.error.startswith(f"lane 1 (pid {pid}) {words}; its output is in ")
    if what == "os._exit":
        assert crash.error.endswith("which ends: last words")
    lanes.start(work(2, "do=pid"))
    (replacement,) = lanes.wait(30)
    assert str(replacement.value) != pid
    go.touch()
    assert wait_for(lanes, 1) == {0: Ended(0, value=1)}


def test_a_lane_killed_from_outside_is_noticed_busy_or_idle(
    toy_app: Any, processes: Callable[..., ProcessLanes], until: Callable[..., None]
) -> None:
    lanes = processes(1)
    pid = run_all(lanes, [work(0, "do=pid")])[0].value
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    assert run_all(lanes, [work(1)])[1] == Ended(1, value=2)
    lanes.start(work(2, "do=wait", "until=/nowhere"))
    until((toy_app.job(2) / "began").exists)
    os.kill(int((toy_app.job(2) / "began").read_text()), signal.SIGKILL)
    assert wait_for(lanes, 1)[2].crashed


def test_a_dead_lane_is_noticed_though_its_daughter_lives_and_she_is_ended_too(
    toy_app: Any, processes: Callable[..., ProcessLanes], until: Callable[..., None]
) -> None:
    lanes = processes(1)
    lanes.start(work(0, "do=daughter"))
    assert wait_for(lanes, 1)[0].crashed
    daughter = int((toy_app.job(0) / "daughter").read_text())
    try:
        until(lambda: not alive(daughter), 10)
    finally:
        if alive(daughter):
            os.kill(daughter, signal.SIGKILL)


def test_stop_lets_work_save_and_leave(
    toy_app: Any, processes: Callable[..., ProcessLanes], until: Callable[..., None]
) -> None:
    lanes = processes(3)
    lanes.start(work(0, "do=save"))
    lanes.start(work(1, "do=wait", "until=/nowhere"))
    until(lambda: (toy_app.job(0) / "ready").exists() and (toy_app.job(1) / "began").exists())
    lanes.start(work(2, "do=save"))  # its process has only just been started
    lanes.stop()
    ended = {one.number: one for one in lanes.wait(0)}
    assert ended[0] == Ended(0, error="SystemExit: 130")
    assert (toy_app.job(0) / "saved").read_text() == "2"
    assert ended[1] == Ended(1, error="interrupted", outside=True)
    assert ended[2].error == "interrupted" and not ended[2].crashed
    assert not any(alive(int((toy_app.job(number) / "began").read_text())) for number in (0, 1))


def test_work_that_does_not_stop_is_killed_after_the_grace(
    toy_app: Any, processes: Callable[..., ProcessLanes], until: Callable[..., None]
) -> None:
    lanes = processes(1, "hydra.launcher.grace_s=0.3")
    lanes.start(work(0, "do=stubborn"))
    until((toy_app.job(0) / "ready").exists)
    lanes.stop()
    (ended,) = lanes.wait(0)
    assert ended.crashed and "did not stop within 0.3 s of being interrupted and was killed" in str(ended.error)
    assert not alive(int((toy_app.job(0) / "began").read_text()))


def test_lanes_can_be_used_again_after_a_stop(processes: Callable[..., ProcessLanes]) -> None:
    lanes = processes(1)
    assert run_all(lanes, [work(0)])[0].value == 2
    lanes.stop()
    assert run_all(lanes, [work(1)])[1].value == 2


def test_an_app_that_cannot_be_sent_is_refused_with_the_way_out(toy_app: Any) -> None:
    held = threading.Lock()
    toy_app.task = lambda config: held.locked()
    with pytest.raises(UserError, match="hydra/launcher=basic"):
        open_lanes(toy_app.launcher("lanes"), 1)


def test_an_app_that_cannot_be_loaded_fails_its_jobs_with_the_reason(
    toy_app: Any, processes: Callable[..., ProcessLanes], monkeypatch: Any
) -> None:
    lanes = processes(1)
    (Path(toy_app.task.__code__.co_filename)).rename("gone.py")
    ended = run_all(lanes, [work(0)])[0]
    assert ended == Ended(
        0, error="the app could not be loaded in a lane: ModuleNotFoundError: No module named 'toy_tasks'"
    )


def test_impossible_settings_are_told_together(toy_app: Any) -> None:
    with pytest.raises(UserError) as wrong:
        open_lanes(toy_app.launcher("lanes", "hydra.launcher.grace_s=-1", "hydra.launcher.n_jobs=two"), None)
    assert [problem.split(":")[0] for problem in wrong.value.problems] == [
        "hydra.launcher.n_jobs=two",
        "hydra.launcher.grace_s=-1",
    ]


# The machine's parts


def test_each_lane_gets_its_gpu_and_its_part_of_the_cores(
    processes: Callable[..., ProcessLanes], monkeypatch: Any
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-8f6")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    lanes = processes(3)
    for number in range(3):
        lanes.start(work(number, "do=environment"))
    values = {number: ended.value for number, ended in wait_for(lanes, 3).items()}
    assert [values[number]["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["3", "GPU-8f6", "3"]
    assert {value["OMP_NUM_THREADS"] for value in values.values()} == {"2"}


def test_one_lane_per_gpu_unless_told_otherwise(toy_app: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert open_lanes(toy_app.launcher("lanes"), None).capacity == 3
    assert open_lanes(toy_app.launcher("lanes"), 5).capacity == 5
    assert open_lanes(toy_app.launcher("lanes", "hydra.launcher.n_jobs=4"), 5).capacity == 4
    assert open_lanes(toy_app.launcher("lanes", "hydra.launcher.gpus=[1]"), None).capacity == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert open_lanes(toy_app.launcher("lanes"), None).capacity == 2


@pytest.mark.parametrize(
    ("listed", "gpus"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("2,-1,3", ["2"]), (" 1 , MIG-a ", ["1", "MIG-a"])]
)
def test_visible_gpus_are_read_as_cuda_does(listed: str, gpus: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": listed}) == gpus


def test_gpus_are_counted_by_nvidia_smi(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: 1)'\necho '  MIG 1g'\necho 'GPU 1: A (UUID: 2)'\n")
    program.chmod(0o755)
    assert visible_gpus({}) == ["0", "1"]


def test_shares() -> None:
    assert share(0, 4, [], 2, {}) == {"OMP_NUM_THREADS": "1"}
    by_bus = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as nvidia-smi counts
    assert share(1, 2, ["5", "7"], 16, {}) == {"CUDA_VISIBLE_DEVICES": "7", "OMP_NUM_THREADS": "8", **by_bus}
    for given in ({"CUDA_VISIBLE_DEVICES": "5,7"}, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}):
        assert share(0, 2, ["5", "7"], 16, given) == {"CUDA_VISIBLE_DEVICES": "5", "OMP_NUM_THREADS": "8"}
    assert share(0, 2, [], 16, {"OMP_NUM_THREADS": "3"}) == {}


# Errors in words


def test_errors_in_a_line() -> None:
    assert failure_reason(RuntimeError("CUDA out of memory\nTrace: ...")) == "RuntimeError: CUDA out of memory"
    trace = "Job failed with trace:\n----\nTraceback (most ...):\n  File 'a.py'\nOSError: disk full\n----\nSee a.err"
    assert failure_reason(RuntimeError(trace)) == "RuntimeError: Job failed with trace: OSError: disk full"
    assert failure_reason(KeyError()) == "KeyError"
    assert failure_reason(UserError(["a", "b"], "No")) == "a; b"
    assert failure_reason(CompactHydraException("Bad\n  - rank")) == "Bad - rank"
    assert len(failure_reason(ValueError("x" * 9999))) == 500
