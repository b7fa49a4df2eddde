"""A version that can start gets its folder, is put where it begins, and is surrounded with all that it needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from lorasweep.console.lines import Progress, echo
from lorasweep.console.log import keep, open_log
from lorasweep.families.device import describe, gpu_memory
from lorasweep.runs import lock, paths
from lorasweep.runs.record import Record, now
from lorasweep.tracking.group import open_trackers
from lorasweep.tracking.tracker import Tracked
from lorasweep.training.evaluator import Evaluator
from lorasweep.training.measuring_plan import explanation
from lorasweep.training.memory.forecast import forecast
from lorasweep.training.memory.spill import SpillWatch
from lorasweep.training.reporting.advice import Advice
from lorasweep.training.reporting.means import StepMeans
from lorasweep.training.reporting.reporter import Reporter
from lorasweep.training.session import Session
from lorasweep.training.start.beginning import Start, begin_from, continue_in_place
from lorasweep.training.start.new_version import open_new
from lorasweep.training.start.setup import Prepared


def open_session(prepared: Prepared) -> Session:
    """Give a version its folder and put it where it begins: at step 0, or where a state was saved.

    A version that cannot be set up after all is taken off its base.

    Raises:
        UserError: a version that is being trained elsewhere, an unwritable folder, a damaged state.
    """
    job, version, resumed = prepared.job, prepared.version, prepared.resumption
    with ExitStack() as undo:
        undo.callback(version.remove)
        resources = undo.enter_context(ExitStack())
        if resumed is not None and resumed.in_place:
            resources.enter_context(lock.take(resumed.folder))
            record = Record.read(resumed.folder)
            version.number = record.version
        else:
            record = open_new(job, prepared.subject, version, resources)
            undo.push(_failed(record))
        resources.enter_context(open_log(paths.log(record.folder)))
        keep("\n".join(version.dataset.report.lines()))  # told before there was a log
        if resumed is not None and resumed.in_place:
            start = continue_in_place(prepared, resumed, record)
        elif job.start_from is not None:
            start = begin_from(prepared, job.start_from, record)
        else:
            start = Start()
        session = _surround(prepared, record, start, resources)
        undo.pop_all()
    return session


def _failed(record: Record) -> Callable[..., None]:
    """Return what writes into the record of a version why it could not be set up."""

    def write(kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            record.status, record.reason, record.finished = "failed", str(error) or type(error).__name__, now()
            record.write()

    return write


def _surround(prepared: Prepared, record: Record, start: Start, resources: ExitStack) -> Session:
    """Give a version its measures, trackers and progress bar.

    Args:
        prepared: the version.
        record: its record.
        start: where it begins.
        resources: what is closed at its end.
    """
    job, version = prepared.job, prepared.version
    config, number, folder = version.config, version.number, record.folder
    echo(f"{config.name} v{number}: {folder}")
    echo(f"device: {describe(version.accelerator, config.training.device)}")
    echo(version.plan.explain())
    available = gpu_memory(version.accelerator.device)
    if available is not None:
        echo(forecast(config, version.base, available))
    echo(prepared.disk)
    evaluator = Evaluator(config, version, folder, prepared.measuring, prepared.stopwatch)
    if config.evaluation.budget is not None:
        echo(explanation(config, evaluator.sampled))
    advice = Advice(config, version.base, record)
    tracked = Tracked(
        config,
        folder,
        number,
        echo,
        # Resumed without a state, even step 0 is logged again.
        resumed_step=(version.step or -1) if config.resume else None,
        job_type="trial" if job.trial else "train",
        trial=job.trial,
    )
    progress = Progress(
        f"{config.name} v{number}",
        version.plan.total_steps,
        version.step,
        epochs=version.plan.total_epochs,
        start_epoch=version.epoch,
    )
    reporter = Reporter(
        version=version,
        record=record,
        samples=evaluator.samples,
        trackers=open_trackers(tracked),
        progress=progress,
        means=StepMeans(start.plain.get("means", {})),
        spill=SpillWatch(available) if available is not None else None,
        advice=advice,
    )
    if version.step:
        reporter.replay()
    return Session(
        config=config,
        version=version,
        evaluator=evaluator,
        record=record,
        reporter=reporter,
        stopwatch=prepared.stopwatch,
        report=job.report,
        remeasured=start.measures,
        resources=resources,
        advice=advice,
    )
