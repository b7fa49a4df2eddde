"""Lanes, the places where trials run: in this process, or wherever one of Hydra's own launchers puts them.

A sweeper starts work while a lane is free and waits for what ended; it need not know where the work ran. Lanes that
are child processes are in `processes.py`, those on a cluster in `submissions.py`.
"""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lorasweep.errors import UserError
from lorasweep.interruption import EXIT_CODES
from lorasweep.sweeping.tracebacks import formatted

LONGEST_ERROR = 500  # characters
RAISED = re.compile(r"[\w.]+(Error|Exception|Interrupt|Exit)\b")
BASIC = "hydra._internal.core_plugins.basic_launcher"
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"


@dataclass(frozen=True)
class Work:
    """One job to run.

    Attributes:
        number: hydra.job.num.
        overrides: all of its overrides, a trial's identity included.
        whole: whether all that Hydra says of a finished job is wanted back.
    """

    number: int
    overrides: tuple[str, ...]
    whole: bool = False


@dataclass(frozen=True)
class Ended:
    """What became of a piece of work.

    Attributes:
        number: the work's.
        value: what the task returned.
        error: one line that says why the task did not return; None if it did.
        trace: where it was raised, as text; None where nobody knows.
        crashed: the lane died, or the launcher failed, before it could say how the task ended. The task may have
            told its trial all the same, and a job of a batch launcher may even be running still.
        outside: it was stopped or killed by somebody else, which says nothing about the work.
        log: where the lane's output is.
        job: what Hydra says of the job, where it was asked for.
    """

    number: int
    value: Any = None
    error: str | None = None
    trace: str | None = field(default=None, compare=False)
    crashed: bool = False
    outside: bool = False
    log: Path | None = field(default=None, compare=False)
    job: JobReturn | None = field(default=None, compare=False)


class Lanes(Protocol):
    """Where trials run. `capacity` pieces of work at once, no more may be started."""

    capacity: int

    def start(self, work: Work) -> None:
        """Run `work` as soon as possible; only while fewer than `capacity` are running."""

    def wait(self, seconds: float) -> list[Ended]:
        """Return what ended: at once if something has, [] after `seconds` or when nothing runs."""

    def stop(self) -> None:
        """Interrupt what is running and wait until it has ended; a last wait(0) returns how."""

    def close(self) -> None:
        """Give everything back; no work can be started afterwards."""


def open_lanes(launcher: Launcher, n_jobs: int | None) -> Lanes:
    """Return the lanes of a Hydra launcher.

    Args:
        launcher: one that has been set up: `lanes` (its own processes), `basic` (this process), `submitit_slurm` and
            `submitit_local` (a job per trial), or any other, which is handed whole batches.
        n_jobs: how many trials at once; None lets the launcher decide. The basic launcher always runs one.

    Raises:
        UserError: the launcher cannot run as many, or cannot be opened.
    """
    if hasattr(launcher, "open"):
        lanes: Lanes = launcher.open(n_jobs)
        return lanes
    # By name: Hydra's search for plugins imports each module a second time, so there are two such classes.
    if type(launcher).__module__ == BASIC:
        return OneAfterAnother(launcher)
    if type(launcher).__module__ == SUBMITIT:
        from lorasweep.sweeping.submissions import Submissions

        return Submissions(launcher, n_jobs or 1)
    return Batches(launcher, n_jobs or 1)


class OneAfterAnother:
    """One lane, this process: what the app has loaded stays loaded from one trial to the next.

    `wait` runs the work. An interruption of this process (KeyboardInterrupt, or the task's SystemExit with a signal's
    exit code) passes through it; the work counts as ended.
    """

    capacity = 1

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._work: Work | None = None

    def start(self, work: Work) -> None:
        """Remember `work` for the next `wait`."""
        if self._work is not None:
            raise RuntimeError("one lane runs one piece of work at a time")
        self._work = work

    def wait(self, seconds: float) -> list[Ended]:
        """Run what was started, to its end: `seconds` cannot cut it short.

        Raises:
            KeyboardInterrupt, SystemExit: this process was interrupted.
        """
        work, self._work = self._work, None
        if work is None:
            return []
        try:
            (returned,) = self._launcher.launch([list(work.overrides)], work.number)
        except SystemExit as leaving:
            if leaving.code in EXIT_CODES:
                raise
            return [Ended(work.number, error=in_a_line(leaving), trace=formatted(leaving))]
        except Exception as error:  # the job could not even be composed
            return [failed(work.number, error)]
        return [outcome(work.number, returned)]

    def stop(self) -> None:
        """Drop what has not begun; nothing can be running while this is called."""
        self._work = None

    def close(self) -> None:
        """Nothing to give back."""


class Batches:
    """Lanes of a launcher that only knows batches (joblib, ray …).

    `wait` launches all that was started and returns when the last of it has ended, so the slowest job of a batch
    holds up the others. The launcher's own settings say how many of a batch run at the same time.
    """

    def __init__(self, launcher: Launcher, n_jobs: int) -> None:
        self.capacity = n_jobs
        self._launcher = launcher
        self._started: list[Work] = []

    def start(self, work: Work) -> None:
        """Add `work` to the next batch."""
        if len(self._started) == self.capacity:
            raise RuntimeError(f"a batch has {self.capacity} jobs")
        self._started.append(work)

    def wait(self, seconds: float) -> list[Ended]:
        """Launch what was started and wait for all of it: `seconds` cannot cut it short.

        Raises:
            KeyboardInterrupt, SystemExit: this process was interrupted; what the launcher had begun is its affair.
        """
        batch, self._started = sorted(self._started, key=lambda work: work.number), []
        if not batch:
            return []
        try:
            returned = self._launcher.launch(self._overrides(batch), batch[0].number)
        except Exception as error:  # of one job or of the launcher: it does not say what became of the others
            _show(error)
            reason = f"{type(self._launcher).__name__} failed: {in_a_line(error)}"
            return [Ended(work.number, error=reason, crashed=True) for work in batch]
        return [outcome(work.number, job) for work, job in zip(batch, returned, strict=True)]

    def stop(self) -> None:
        """Drop what has not begun; nothing can be running while this is called."""
        self._started = []

    def close(self) -> None:
        """Nothing to give back."""

    def _overrides(self, batch: list[Work]) -> list[list[str]]:
        """Each job's overrides; where the launcher would count its number wrongly, its folder is named outright.

        A launcher numbers the jobs of a batch without gaps, and a job's folder follows from its number: after a gap
        (another sweeper has taken the numbers between) it would write into another trial's folder.
        """
        overrides = [list(work.overrides) for work in batch]
        for place, work in enumerate(batch):
            if work.number != batch[0].number + place:
                overrides[place].append(f"hydra.sweep.subdir={_quoted(self._subdir(work))}")
        return overrides

    def _subdir(self, work: Work) -> str:
        launcher: Any = self._launcher  # every launcher keeps what it was set up with under these names
        config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(work.overrides))
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(work.number), work.number
        before = HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)
            return str(OmegaConf.select(config, "hydra.sweep.subdir"))
        finally:
            HydraConfig.instance().cfg = before


def outcome(number: int, returned: JobReturn) -> Ended:
    """Return what a finished Hydra job says: its value, or why it failed."""
    result = returned._return_value  # the property raises the task's exception and writes to stderr
    if returned.status is JobStatus.COMPLETED:
        return Ended(number, value=result)
    return failed(number, result)


def failed(number: int, error: BaseException) -> Ended:
    """Return that a task failed with `error`; HYDRA_FULL_ERROR=1 shows where it was raised."""
    _show(error)
    return Ended(number, error=in_a_line(error), trace=formatted(error))


def in_a_line(error: BaseException) -> str:
    """Return type and message of an exception in one line of at most 500 characters.

    Messages written for the user are kept whole; of others, whose further lines are detail, the first line is.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, (HydraException, UserError, OmegaConfBaseException)):
        text = " ".join(lines) or type(error).__name__
    else:
        told = lines[:1]
        if told and told[0].endswith(":"):  # a report of another exception, such as submitit's with its traceback
            told += [line for line in lines if RAISED.match(line)][-1:]
        text = ": ".join([type(error).__name__, *(line.rstrip(":") for line in told)])
    return text if len(text) <= LONGEST_ERROR else text[: LONGEST_ERROR - 1] + "…"


def last_words(log: Path) -> str:
    """Name a log and quote its last line."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return f"its output was to be in {log}"
    return f"its output is in {log}" + (f", which ends: {lines[-1].strip()[-200:]}" if lines else "")


def _show(error: BaseException) -> None:
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)


def _quoted(text: str) -> str:
    """`text` as a quoted value in Hydra's override grammar."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
