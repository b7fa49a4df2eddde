"""From jobs to outcomes: load the base, set up each version, train the cohort, close.

A plain `train.py` run is a cohort of one. The steps themselves are in `lorasweep.training.loop`: read that first.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from lorasweep.console.lines import silenced
from lorasweep.errors import UserError
from lorasweep.families.base import Base
from lorasweep.families.device import check_device, open_accelerator, set_determinism
from lorasweep.families.opened import OpenedBase
from lorasweep.interruption import Interruption
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.training.hardware.distributed import LostProcessError, PeerError, Processes
from lorasweep.training.job import Job, Outcome
from lorasweep.training.loop import train
from lorasweep.training.member import Member
from lorasweep.training.memory import shortage
from lorasweep.training.session import Session
from lorasweep.training.start.opening import open_session
from lorasweep.training.start.setup import Prepared, prepare_version
from lorasweep.training.train_state import NonFiniteError


def run(job: Job, opened: OpenedBase) -> float | None:
    """Train one version; return the objective's value, or None if it was not measured.

    Args:
        job: what the version is asked to be.
        opened: gives the base, and keeps it for the next version.

    Raises:
        UserError: it could not start or had to stop, and what to do; the record says so too.
        SystemExit: 128 plus a signal's number (`lorasweep.interruption`), with the state saved.
    """
    for outcome in run_cohort([job], opened):
        if outcome.error is not None:
            raise outcome.error
        return outcome.value
    return None  # a process that only helped


def run_cohort(jobs: Sequence[Job], opened: OpenedBase) -> list[Outcome]:
    """Train several versions on one base, stepped in turn; of several processes, the first one returns outcomes.

    Args:
        jobs: versions that agree on base model, device and precision.
        opened: gives the base, which is left as it was, and keeps it for the next cohort.

    Raises:
        UserError: a version could not be set up; nothing is trained then.
        SystemExit: 128 plus a signal's number (`lorasweep.interruption`), with every state saved.
    """
    members: list[Member] = []
    check_device(jobs[0].config)
    set_determinism(jobs[0].config.training)
    processes = Processes(open_accelerator(jobs[0].config.training))
    _check_launch(processes.count, jobs)
    with Interruption() as interruption, nullcontext() if processes.main else silenced():
        try:
            _set_up(jobs, opened, processes, members)
            train(members, processes, interruption)
        except KeyboardInterrupt:
            if interruption.signal is None:  # nobody asked to stop: it is the caller's to know
                raise
            for session in _sessions(members):  # a second Ctrl-C
                session.abandon()
        except Exception as error:
            if processes.main or not _reported_by_main(error):
                raise
        finally:
            for member in members:
                member.version.remove()
            for session in _sessions(members):
                session.release()
    for member in members:
        if member.session is not None:
            member.session.advice.show_closing(member.error)
        elif member.error is not None and not _reported_by_main(member.error):
            raise member.error
    # Where a process of a launch fails, the launcher sends SIGTERM to the others: then the failure is what counts.
    failed = processes.count > 1 and any(member.error for member in members)
    if processes.main and interruption.signal is not None and not failed:
        raise SystemExit(interruption.exit_code)
    return [_outcome(member, member.session) for member in members if member.session is not None]


def _set_up(jobs: Sequence[Job], opened: OpenedBase, processes: Processes, members: list[Member]) -> None:
    """Have the base loaded unless it is there, and add every version to `members`, ready for its first step.

    Only when none of them refuses to start does the first take a number. The first process reads the data before the
    others, which then find it in the cache.
    """
    prepared: list[Prepared] = []
    base: Base | None = None
    job, stopwatch = jobs[0], Stopwatch(jobs[0].began)
    try:
        for job in jobs:
            if base is None:
                with processes.together(), stopwatch("load"):
                    base = opened.of(job.config)
            with processes.together(), processes.main_first():
                prepared.append(prepare_version(job, base, stopwatch, main=processes.main))
            stopwatch = Stopwatch()  # loading the base counts for the first version
        while prepared:
            ready = prepared.pop(0)
            job, stopwatch = ready.job, ready.stopwatch
            with processes.together():
                members.append(Member(ready.version, open_session(ready) if processes.main else None))
    except Exception as error:
        shortage.check_room(error, job.config, base, job.overrides, stopwatch.failed or "train")
        raise
    finally:
        for ready in prepared:
            ready.version.remove()


def _check_launch(count: int, jobs: Sequence[Job]) -> None:
    """Refuse what several processes cannot share.

    Raises:
        UserError: several versions at once, or fewer images in a batch than processes.
    """
    if count == 1:
        return
    if len(jobs) > 1:
        raise UserError(f"{count} processes step one version together, not {len(jobs)}: run them one after the other")
    size = jobs[0].config.training.batch_size
    if size < count:
        raise UserError(
            f"training.batch_size={size} on {count} processes: the images of a batch are dealt out to them, so give "
            f"training.batch_size={count} or more, or launch fewer processes"
        )


def _reported_by_main(error: Exception) -> bool:
    """Whether the first process of a launch says it: what goes wrong together, or anywhere for want of memory."""
    return isinstance(error, PeerError | LostProcessError | NonFiniteError) or shortage.out_of_memory(error)


def _sessions(members: Sequence[Member]) -> list[Session]:
    return [member.session for member in members if member.session is not None]


def _outcome(member: Member, session: Session) -> Outcome:
    record = session.record
    return Outcome(
        folder=record.folder,
        status=record.status,
        value=record.objective.value,
        error=member.error,
        reason=record.reason,
        number=record.version,
        epoch=record.selected_epoch,
        steps=member.version.step,
        metrics=dict(record.metrics.selected or {}),
    )
