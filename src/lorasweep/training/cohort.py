"""The recipe, read from top to bottom: load the base, set up each version, train the cohort, close.

A plain `train.py` run is a cohort of one. Versions of a cohort share one loaded base and are stepped in turn; where
their rows can go through the base in one forward, `train` is the place that changes.
"""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch

from lorasweep.data.survey import Survey
from lorasweep.errors import UserError
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.model import SDXL
from lorasweep.interruption import Interruption
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema import BaseModelConfig, Config, TrainingConfig
from lorasweep.training.device import check_device, dtype_of, open_accelerator, set_determinism
from lorasweep.training.helping import Place, check_launch, help_along
from lorasweep.training.member import Job, Member, Report
from lorasweep.training.memory import shortage
from lorasweep.training.opening import set_up
from lorasweep.training.processes import LostProcessError, PeerError, Processes
from lorasweep.training.setup import Prepared, prepare

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Outcome:
    """How a version ended.

    Attributes:
        folder: its version folder. status: the record's. value: the objective at the selected epoch, if measured.
        error: why it failed, or None. reason: the record's, in words: why it was pruned, interrupted or failed.
        number: N of vN. epoch: the selected epoch, or None before the first. steps: optimizer steps taken.
        metrics: everything measured at the selected epoch, by name; values may be NaN.
    """

    folder: Path
    status: str
    value: float | None
    error: Exception | None
    reason: str | None
    number: int
    epoch: int | None
    steps: int
    metrics: dict[str, float]


def run(
    config: Config,
    *,
    overrides: Sequence[str] = (),
    choices: dict[str, str] | None = None,
    trial: dict[str, object] | None = None,
    report: Report | None = None,
    start_from: Path | None = None,
    seen: Survey | None = None,
    began: float | None = None,
    base: SDXL | None = None,
) -> float | None:
    """Train one version; return the objective's value, or None if it was not measured.

    Args:
        config: the checked config. overrides, choices: the command line's, for the record.
        trial, report, start_from, seen, began: as `Job` has them.
        base: an already loaded base; None loads it.

    Raises:
        UserError: it could not start or had to stop, and what to do; the record says so too.
        SystemExit: 128 plus a signal's number (`lorasweep.interruption`), with the state saved.
    """
    outcomes = run_cohort(
        [Job(config, list(overrides), choices or {}, trial, report, start_from, seen, began)], base=base
    )
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        return outcome.value
    return None  # a process that only helped


def run_cohort(jobs: Sequence[Job], *, base: SDXL | None = None) -> list[Outcome]:
    """Train several versions on one base, stepped in turn; of several processes, the first one returns outcomes.

    Args:
        jobs: versions that agree on base model, device and precision.
        base: an already loaded base of that kind, left as it was; None loads one.

    Raises:
        UserError: a version could not be set up; nothing is trained then.
        SystemExit: 128 plus a signal's number (`lorasweep.interruption`), with every state saved.
    """
    members: list[Member] = []
    check_device(jobs[0].config)
    set_determinism(jobs[0].config.training)
    processes = Processes(open_accelerator(jobs[0].config.training))
    check_launch(processes.count, jobs)
    with Interruption() as interruption:
        if processes.rank > 0:
            help_along(jobs[0], lambda: base or load(jobs[0].config), processes)
            return []
        try:
            _set_up(jobs, base, members)
            train(members, interruption, processes)
        except KeyboardInterrupt:
            if interruption.signal is None:  # nobody asked to stop: it is the caller's to know
                raise
            for member in members:  # a second Ctrl-C
                member.abandon()
        finally:
            with contextlib.suppress(LostProcessError):
                processes.tell(None)
            for member in members:
                member.leave()
    for member in members:
        member.show_closing()
    # Where a process of a launch fails, the launcher sends SIGTERM to the others: then the failure is what counts.
    failed = processes.count > 1 and any(member.error for member in members)
    if interruption.signal is not None and not failed:
        raise SystemExit(interruption.exit_code)
    return [outcome(member) for member in members]


def _set_up(jobs: Sequence[Job], base: SDXL | None, members: list[Member]) -> None:
    """Load the base unless it is there, and add every version to `members`, ready for its first step.

    Only when none of them refuses to start does the first take a number.
    """
    prepared: list[Prepared] = []
    stopwatch = Stopwatch(jobs[0].began)
    try:
        for job in jobs:
            if base is None:
                with stopwatch("load"):
                    base = load(job.config)
            prepared.append(prepare(job, base, stopwatch))
            stopwatch = Stopwatch()  # loading the base counts for the first version
        while prepared:
            ready = prepared.pop(0)
            job, stopwatch = ready.job, ready.stopwatch
            members.append(set_up(ready))
    except Exception as error:
        shortage.check_room(error, job.config, base, job.overrides, stopwatch.failed or "train")
        raise
    finally:
        for ready in prepared:
            ready.version.remove()


def outcome(member: Member) -> Outcome:
    """Return how a member that has left its cohort ended."""
    record = member.record
    return Outcome(
        folder=member.folder,
        status=record.status,
        value=record.objective.value,
        error=member.error,
        reason=record.reason,
        number=record.version,
        epoch=record.selected_epoch,
        steps=member.version.step,
        metrics=dict(record.metrics.selected or {}),
    )


def load(config: Config) -> SDXL:
    """Return the base of a config in the precision that its training calls for.

    It stays loaded: the next version of this process that wants the same one, a search's next trial, has it at once.
    """
    training = config.training
    whole = config.network.type == "full"
    return _loaded(json.dumps(asdict(config.base_model)), training.device, training.mixed_precision, whole)


@lru_cache(maxsize=1)
def _loaded(base_model: str, device: str, mixed_precision: str, whole: bool) -> SDXL:
    accelerator = open_accelerator(TrainingConfig(device=device, mixed_precision=mixed_precision))
    # Weights that are trained themselves stay in 32 bit; autocast computes with them in the run's precision.
    dtype = torch.float32 if whole else dtype_of(accelerator)
    return load_base(BaseModelConfig(**json.loads(base_model)), str(accelerator.device), dtype)


def train(members: Sequence[Member], interruption: Interruption, processes: Processes) -> None:
    """Step every version of the cohort until each is complete, pruned, failed or interrupted."""
    for member in members:
        _guarded(member, partial(_begin, member, processes), processes)
    while active := [member for member in members if member.active]:
        for member in active:
            _guarded(member, partial(_step, member, processes), processes)
        if interruption.signal is not None:
            for member in members:
                if member.record.status == "running":
                    _guarded(member, member.interrupt, processes)
    for member in members:
        if member.record.status == "running":
            _guarded(member, member.complete, processes)


def _begin(member: Member, processes: Processes) -> None:
    processes.tell(Place.of(member))
    processes.meet()
    member.begin()


def _step(member: Member, processes: Processes) -> None:
    processes.tell(True)
    member.step()


def _guarded(member: Member, action: Callable[[], None], processes: Processes) -> None:
    """Run one action of a version. What it raises ends this version, with the reason in its record, and no other."""
    try:
        action()
    except Exception as error:
        processes.apart |= isinstance(error, LostProcessError)
        member.error = _explained(error, member)
        reason = str(member.error).strip() or type(error).__name__
        # What failed once may fail here too: on a full disk the record does not fit either, and the one of the last
        # epoch is still there, whole. The first error is the one to tell.
        with contextlib.suppress(Exception):
            member.close("failed", reason)
        member.record.status = "failed"


def _explained(error: Exception, member: Member) -> Exception:
    """Turn what a user can do something about into words; leave the rest as it is, for the traceback."""
    again = f"then go on with: {member.resume_command}"
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return UserError(
            f"{error.strerror} while writing {error.filename or member.folder}: every earlier file is whole. Make "
            f"room, {again}",
            title=f"{member.record.stem} stopped",
        )
    if "does not have a deterministic implementation" in str(error):  # torch's words
        told = f"in step {member.version.step + 1}: {str(error).partition('. ')[0]}"
        member.changes = ("training.deterministic=false",)
        return UserError(told, title=f"{member.record.stem} stopped", ways={"go on without it": member.resume_command})
    if isinstance(error, PeerError | LostProcessError):
        what = "failed" if isinstance(error, PeerError) else "is gone"
        return UserError(
            f"another process of this launch {what} in step {member.version.step + 1} ({error}); what it printed says "
            f"more. Put it right, {again}",
            title=f"{member.record.stem} stopped",
        )
    if shortage.out_of_memory(error):
        phase = member.stopwatch.failed or "train"
        where = shortage.PHASES.get(phase, f"in step {member.version.step + 1}")
        ways = member.cures(phase)
        return UserError(shortage.told(error, where), title=f"{member.record.stem} stopped", ways=ways)
    return error
