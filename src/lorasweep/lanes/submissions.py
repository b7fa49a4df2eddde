"""Lanes on a cluster: every trial is a job of its own, submitted with the settings of Hydra's submitit launchers.

`launch` of those launchers waits for a whole batch, and the first job that fails hides what became of the others.
Here each job is submitted and watched by itself, so a free lane takes the next trial at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton

from lorasweep.lanes.work import Ended, Work, failure_reason, job_ended, log_tail

LOOK_S = 0.5  # between two looks for results
ASK_S = 5.0  # between two questions to SLURM: it serves the whole cluster
SETTLE_S = 10.0  # how long a result may take to appear on a shared disk after its job has gone
GRACE_S = 60.0  # how long an interrupted job may take to save its state

SHARED = {"timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name"}
SHARED |= {"stderr_to_stdout"}
"""Settings that submitit knows by the same name on every cluster; the others get the cluster's name in front."""
OF_EXECUTOR = {"max_num_timeout", "python"}


@dataclass
class Submission:
    """A job that was submitted. `gone`: since when (monotonic seconds) it has been neither waiting nor running."""

    work: Work
    job: Any
    gone: float | None = None

    def __str__(self) -> str:
        return f"job {self.job.job_id}"


class Submissions:
    """Jobs of SLURM, or of submitit's imitation of it on this machine, at most `capacity` submitted at a time."""

    def __init__(self, launcher: Any, n_jobs: int) -> None:
        """Prepare; nothing is submitted yet.

        Args:
            launcher: `submitit_slurm` or `submitit_local`, set up.
            n_jobs: how many jobs may be waiting or running at once.
        """
        self.capacity = n_jobs
        self._launcher = launcher
        self._cluster: str = launcher._EXECUTOR
        self._running: list[Submission] = []
        self._ended: list[Ended] = []
        self._asked = float("-inf")

    def start(self, work: Work) -> None:
        """Submit `work`; if that fails it has ended with the reason."""
        if len(self._running) >= self.capacity:
            raise RuntimeError(f"all {self.capacity} lanes are busy")
        try:
            job = self._executor().submit(
                self._launcher,  # its __call__ is what Hydra submits, too
                list(work.overrides),
                "hydra.sweep.dir",
                work.number,
                f"job_id_for_{work.number}",
                Singleton.get_state(),
            )
        except Exception as error:
            self._ended.append(Ended(work.number, error=f"submitting failed: {failure_reason(error)}"))
        else:
            self._running.append(Submission(work, job))

    def wait(self, seconds: float) -> list[Ended]:
        """Return what ended: at once if something has, [] after `seconds` or when nothing runs."""
        deadline = time.monotonic() + seconds
        while True:
            self._look()
            left = deadline - time.monotonic()
            if self._ended or not self._running or left <= 0:
                ended, self._ended = self._ended, []
                return ended
            time.sleep(min(LOOK_S, left))

    def stop(self) -> None:
        """Take back what waits, interrupt what runs and give it 60 s to save its state, then cancel it."""
        deadline = time.monotonic() + GRACE_S
        try:
            if self._cluster == "slurm":
                self._scancel("--state=PENDING")
                self._scancel("--state=RUNNING", "--signal=INT")
            else:
                for running in self._running:  # the process that minds the job passes it on
                    with suppress(ProcessLookupError):
                        os.kill(int(running.job.job_id), signal.SIGTERM)
            ended: list[Ended] = []
            while self._running and time.monotonic() < deadline:
                ended += self.wait(LOOK_S)
            self._ended = ended + self._ended
        finally:
            self.close()

    def close(self) -> None:
        """Cancel what is still waiting or running."""
        for running in self._running:
            running.job.cancel(check=False)
            self._ended.append(Ended(running.work.number, error=f"{running} was cancelled", crashed=True, outside=True))
        self._running = []

    def _executor(self) -> Any:
        import submitit

        settings = dict(self._launcher.params)
        folder = settings.pop("submitit_folder")
        own = {f"{self._cluster}_{key}": settings.pop(key) for key in OF_EXECUTOR & set(settings)}
        executor = submitit.AutoExecutor(folder, cluster=self._cluster, **own)
        named = {key if key in SHARED else f"{self._cluster}_{key}": value for key, value in settings.items()}
        executor.update_parameters(**named)
        return executor

    def _look(self) -> None:
        """Sort out the jobs that have ended."""
        now = time.monotonic()
        if now - self._asked >= ASK_S:
            self._asked = now
            self._ask(now)
        for running in list(self._running):
            if self._has_result(running.job):
                ended = _result(running)
            elif running.gone is not None and now - running.gone >= (SETTLE_S if self._cluster == "slurm" else 0):
                ended = _lost(running)
            else:
                continue
            self._running.remove(running)
            self._ended.append(ended)

    def _ask(self, now: float) -> None:
        """Note which jobs are neither waiting nor running any more.

        By squeue, which every cluster answers; submitit's own way, sacct, needs an accounting database, without
        which it would wait for a killed job for ever.
        """
        if self._cluster != "slurm":
            here = {running.job.job_id for running in self._running if not running.job.done()}
        else:
            try:
                asked = subprocess.run(
                    ["squeue", "--me", "--noheader", "--format=%A"],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=True,
                )
            except (OSError, subprocess.SubprocessError):  # it is busy or away: no news
                return
            here = set(asked.stdout.split())
        for running in self._running:
            if running.job.job_id in here:
                running.gone = None
            elif running.gone is None:
                running.gone = now

    def _has_result(self, job: Any) -> bool:
        path: Path = job.paths.result_pickle
        with suppress(OSError):  # NFS shows a new file once its folder is listed afresh
            next(path.parent.iterdir(), None)
        return path.exists()

    def _scancel(self, *arguments: str) -> None:
        jobs = [running.job.job_id for running in self._running]
        if jobs:
            with suppress(OSError):
                subprocess.run(["scancel", *arguments, *jobs], capture_output=True, timeout=60)


def _result(running: Submission) -> Ended:
    try:
        return job_ended(running.work.number, running.job.result())
    except Exception as error:
        message = f"{running} failed: {failure_reason(error)}"
        return Ended(running.work.number, error=message, trace=str(error))  # submitit's report has the traceback in it


def _lost(running: Submission) -> Ended:
    reason = f"{running} left without a result: it was killed, or its task left by itself"
    message = f"{reason}; {log_tail(running.job.paths.stderr)}"
    return Ended(running.work.number, error=message, crashed=True, outside=True)
