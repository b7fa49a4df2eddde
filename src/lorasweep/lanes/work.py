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

from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lorasweep.errors import UserError, one_line
from lorasweep.lanes.tracebacks import formatted
from lorasweep.text.exceptions import message

LONGEST_ERROR = 500  # characters
RAISED = re.compile(r"[\w.]+(Error|Exception|Interrupt|Exit)\b")


@dataclass(frozen=True)
class Work:
    """One job to run.

    Attributes:
        number: hydra.job.num.
        overrides: all of its overrides.
        hidden: those of them that are not printed: only machines read them.
        whole: whether all that Hydra says of a finished job is wanted back.
    """

    number: int
    overrides: tuple[str, ...]
    hidden: tuple[str, ...] = ()
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
            reported its result all the same, and a job of a batch launcher may even be running still.
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


def job_ended(number: int, returned: JobReturn) -> Ended:
    """Return what a finished Hydra job says: its value, or why it failed."""
    result = returned._return_value  # the property raises the task's exception and writes to stderr
    if returned.status is JobStatus.COMPLETED:
        return Ended(number, value=result)
    return job_failed(number, result)


def job_failed(number: int, error: BaseException) -> Ended:
    """Return that a task failed with `error`; HYDRA_FULL_ERROR=1 shows where it was raised."""
    show_trace(error)
    return Ended(number, error=failure_reason(error), trace=formatted(error))


def failure_reason(error: BaseException) -> str:
    """Return type and message of an exception in one line of at most 500 characters.

    Messages written for the user are kept whole; of others, whose further lines are detail, the first line is.
    """
    if isinstance(error, UserError):
        text = one_line(error)
    elif isinstance(error, HydraException | OmegaConfBaseException):
        text = message(error) or type(error).__name__
    else:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        parts = lines[:1]
        if parts and parts[0].endswith(":"):  # a report of another exception, such as submitit's with its traceback
            parts += [line for line in lines if RAISED.match(line)][-1:]
        text = ": ".join([type(error).__name__, *(line.rstrip(":") for line in parts)])
    return text if len(text) <= LONGEST_ERROR else text[: LONGEST_ERROR - 1] + "…"


def log_tail(log: Path) -> str:
    """Name a log and quote its last line."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return f"its output was to be in {log}"
    return f"its output is in {log}" + (f", which ends: {lines[-1].strip()[-200:]}" if lines else "")


def show_trace(error: BaseException) -> None:
    """Print where an exception was raised, if HYDRA_FULL_ERROR=1 asks for it."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
