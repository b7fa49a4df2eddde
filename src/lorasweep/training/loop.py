"""Training, on one page: what every step does, and what is done between steps.

Versions of a cohort share one base and are stepped in turn; where their rows can go through it in one forward,
`train_step` is the place that changes. In a launch of several processes all run what is here, each with its rows of
every batch; a `Session`, which measures and writes, is the first process's alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from lorasweep.interruption import Interruption
from lorasweep.process.losses import reduce
from lorasweep.training.hardware.distributed import Processes
from lorasweep.training.member import Member
from lorasweep.training.session import Session
from lorasweep.training.train_state import StepReport
from lorasweep.training.version import Version


def train(members: Sequence[Member], processes: Processes, interruption: Interruption) -> None:
    """Step every version of the cohort until each is complete, pruned, failed or interrupted."""
    for member in members:
        with member.failing_alone(processes):
            begin(member, processes)
    while active := _active(members, processes):
        for member in active:
            with member.failing_alone(processes):
                advance(member)
        if interruption.signal is not None:
            _finish(members, processes, interrupted=True)
    _finish(members, processes)


def begin(member: Member, processes: Processes) -> None:
    """Put every process where the first one stands; measure the base and sample it."""
    version, session = member.version, member.session
    number, folder, step = processes.broadcast(session.position if session is not None else (0, None, 0))
    with processes.together():
        if session is None:
            version.join(number, folder, step)
    if session is not None:
        session.begin()


def train_step(version: Version) -> StepReport:
    """Take one optimizer step.

    Raises:
        NonFiniteError: the loss or the gradient is not finite; nothing was changed.
        PeerError, LostProcessError: another process of a launch failed, or is gone.
    """
    state, objective, processes = version.state, version.objective, version.processes
    loss = torch.zeros((), device=version.accelerator.device)
    version.adapter.activate()
    with state.clearing_gradients_on_error():
        with processes.together(), version.training_mode():
            for index, batch, size in version.batches():
                if batch.rows:
                    noisy = objective.noise(batch, state.step, index)
                    predicted = objective.predict(noisy)
                    part = reduce(objective.loss(predicted, noisy), size)
                    version.accelerator.backward(part)
                    loss += part.detach()
        processes.add_up_gradients(list(state.parameters.values()))
        loss, norm = processes.total(loss), state.clip()
        report = state.check(loss, norm)
        state.update(report)  # the optimizer's step, and the average's
        state.schedule.step()
        state.step += 1
    return report


def advance(member: Member) -> None:
    """Take one step of a version, log it, and finish the epoch if it ends there."""
    version, session = member.version, member.session
    if session is None:
        train_step(version)
        return
    rates, started = version.state.rates(), time.perf_counter()
    with session.stopwatch("train"):
        report = train_step(version)
    session.reporter.log_step(report, rates, time.perf_counter() - started)
    if version.epoch_ends:
        end_epoch(session)
    elif session.state_is_due:
        session.save_state()


def end_epoch(session: Session) -> None:
    """Save the epoch's weights, evaluate, sample, choose the best epoch so far; the state comes last.

    A kill anywhere in between therefore repeats the whole epoch's end on resume, with the same results. Only then may
    files of earlier epochs go: until the state is saved, a resumed version would choose among them.
    """
    due = session.due()
    if due.save:
        session.save_weights()
    metrics = session.evaluate(due)
    session.add_epoch(metrics, due)
    session.save_state()
    if due.measure and (reason := session.stop_early(metrics)):
        session.prune(reason)
    session.thin_out()


def _active(members: Sequence[Member], processes: Processes) -> list[Member]:
    """Return the versions that have steps to take, as the first process sees it."""
    found = []
    for member in members:
        with member.failing_alone(processes):
            if processes.broadcast(member.active):
                found.append(member)
    return found


def _finish(members: Sequence[Member], processes: Processes, *, interrupted: bool = False) -> None:
    for member in members:
        if member.running and member.session is not None:
            with member.failing_alone(processes):
                member.session.interrupt() if interrupted else member.session.complete()
