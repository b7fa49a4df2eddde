"""A version that can start gets its folder, is put where it begins, and is surrounded with all that it needs.

A new one begins at step 0 or where another one stopped; one that is resumed in place, where its last state was saved.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from lorasweep import files
from lorasweep.console.lines import Progress, keep, open_log, say
from lorasweep.errors import UserError
from lorasweep.optim.schedule import factor
from lorasweep.runs import ledger, lock, paths
from lorasweep.runs.command_lines import recipe_folders
from lorasweep.runs.environment import environment
from lorasweep.runs.record import Objective, Origin, Record, Trial, now
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema.measures import METRICS
from lorasweep.tracking.group import open_trackers
from lorasweep.tracking.tracker import Tracked
from lorasweep.training import remeasuring
from lorasweep.training.continuation import Unfit, reading, take_over, whole_epochs
from lorasweep.training.device import describe, gpu_memory
from lorasweep.training.evaluator import Evaluator
from lorasweep.training.means import StepMeans
from lorasweep.training.member import Job, Member
from lorasweep.training.memory.forecast import forecast
from lorasweep.training.memory.spill import SpillWatch
from lorasweep.training.resumption import Resumption
from lorasweep.training.setup import Prepared
from lorasweep.training.subject import Subject
from lorasweep.training.version import Version


@dataclass(frozen=True)
class Start:
    """Where a version begins.

    Attributes:
        plain: the plain values of its state; {} at step 0.
        measures: beginnings of the names of what was measured in another way up to there.
    """

    plain: Mapping[str, Any] = field(default_factory=dict)
    measures: frozenset[str] = frozenset()


def set_up(prepared: Prepared) -> Member:
    """Give a version its folder and put it where it begins: at step 0, or where a state was saved.

    A version that cannot be set up after all is taken off its base.

    Raises:
        UserError: a version that is being trained elsewhere, an unwritable folder, a damaged state.
    """
    job, version, resumed = prepared.job, prepared.version, prepared.resumption
    with ExitStack() as undo:
        undo.callback(version.remove)
        if resumed is not None and resumed.in_place:
            held = undo.enter_context(lock.take(resumed.folder))
            record = Record.read(resumed.folder)
            version.number = record.version
        else:
            record, held = _open_folder(job, prepared.subject, version)
            undo.push(_failed(record))
            undo.callback(held.close)
        log = undo.enter_context(open_log(paths.log(record.folder)))
        keep("\n".join(version.dataset.report.lines()))  # told before there was a log
        if resumed is not None and resumed.in_place:
            start = _continue(prepared, resumed, record)
        elif job.start_from is not None:
            start = _begin_from(prepared, job.start_from, record)
        else:
            start = Start()
        member = _surround(prepared, record, start, (held, log))
        undo.pop_all()
    return member


def _failed(record: Record) -> Callable[..., None]:
    """Return what writes into the record of a version why it could not be set up."""

    def write(kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            record.status, record.reason, record.finished = "failed", str(error) or type(error).__name__, now()
            record.write()

    return write


def _open_folder(job: Job, subject: Subject, version: Version) -> tuple[Record, IO[str]]:
    """Give a version its number and its folder.

    Args:
        job: what it is asked to be.
        subject: what it is a training of.
        version: gets the number.

    Returns:
        Its record, and the lock that keeps other processes out.

    Raises:
        UserError: the folder cannot be written.
    """
    version.number, folder = ledger.open_version(job.config.output_root, job.config.name, recipe_folders(job.overrides))
    held = lock.take(folder)
    _write_config(folder, job)
    files.write_json(paths.manifest(folder), subject.images)
    record = _first_record(folder, job, subject, version)
    record.write()
    return record, held


def _write_config(folder: Path, job: Job) -> None:
    """Write `.hydra/` as Hydra would, with every interpolation resolved: the config alone is enough to run again."""
    files.write_atomic(paths.config(folder), OmegaConf.to_yaml(OmegaConf.structured(job.config)))
    files.write_atomic(paths.overrides(folder), OmegaConf.to_yaml(OmegaConf.create(list(job.overrides))))
    files.write_atomic(paths.choices(folder), OmegaConf.to_yaml(OmegaConf.create(dict(job.choices))))


def _first_record(folder: Path, job: Job, subject: Subject, version: Version) -> Record:
    config = job.config
    return Record(
        folder=folder,
        name=config.name,
        version=version.number,
        recipe=config.recipe,
        status="running",
        config=subject.config,
        overrides=job.overrides,
        objective=Objective(config.objective, None, METRICS[config.objective].direction),
        base=subject.base,
        dataset=subject.dataset,
        multirun=os.environ.get(ledger.MULTIRUN),
        trial=Trial(str(job.trial["study"]), int(str(job.trial["number"]))) if job.trial else None,
        started_from=version.started_from,
        # The step is set when everything is copied; until then this leads whoever continues the new version on.
        continued_from=Origin(ledger.number_of(job.start_from)) if job.start_from else None,
        environment=environment(version.base.device),
        seconds=Stopwatch().read(),
        started=now(),
    )


def _continue(prepared: Prepared, resumed: Resumption, record: Record) -> Start:
    """Put a version where its last state was saved, and drop from its record what came after."""
    version, folder, measures = prepared.version, record.folder, resumed.differences.measures
    for place in paths.places(folder):
        files.remove_leftovers(place)
    start = Start(version.load_state(folder), measures)
    origin = record.continued_from
    if version.step == 0 and origin:  # stopped while it was copied
        start = _begin_from(prepared, paths.sibling(folder, origin.version), record)
    version.started_from = version.started_from or record.started_from
    if not paths.manifest(folder).exists():  # begun by a program that wrote none
        files.write_json(paths.manifest(folder), prepared.subject.images)
    record.epochs = whole_epochs(record.epochs, version.step, version.plan.epoch_ends, measures)
    if measures:
        remeasuring.set_aside_rows(folder, measures)
        if remeasuring.PICTURES in measures:
            remeasuring.set_aside_pictures(folder, version.step)
    config = prepared.subject.config
    record.status, record.reason, record.finished, record.config = "running", None, None, config
    record.write()
    files.write_atomic(paths.config(folder), OmegaConf.to_yaml(OmegaConf.create(dict(config))))
    prepared.stopwatch.continue_from(record.seconds)
    say(f"resumed after step {version.step} of {version.plan.total_steps}")
    return start


def _begin_from(prepared: Prepared, earlier: Path, record: Record) -> Start:
    """Take over what the version in the folder `earlier` has done; begin at step 0 where that is impossible.

    Raises:
        UserError: a new version was asked for that goes on from it.
    """
    version, resumed = prepared.version, prepared.resumption
    try:
        with reading(earlier, prepared.subject, longer=resumed is not None) as found:
            take_over(found, record, version.plan.epoch_ends)
            prepared.stopwatch.continue_from(found.record.seconds)
            say(f"continues {found.record.folder.name} after step {found.step}")
    except Unfit as reason:
        if resumed is not None and not resumed.in_place:
            raise UserError(f"{earlier.name} cannot be continued: {reason}") from None
        record.continued_from = None
        record.write()
        say(f"{earlier.name} cannot be continued ({reason}): starting from step 0")
        version.start()
        return Start()
    start = Start(version.load_state(record.folder), found.differences.measures)
    version.started_from = record.started_from
    if resumed is not None and not resumed.in_place:
        _say_stretched(version, resumed)
    return start


def _say_stretched(version: Version, resumed: Resumption) -> None:
    """Say what another length of the training does to the learning rate, if anything."""
    scheduler, step, total = version.config.scheduler, version.step, version.plan.total_steps
    say(f"{resumed.folder.name} stays as it is; this is a new version, from step {step} to {total}")
    then, now = (factor(scheduler, steps, step) for steps in (resumed.planned, total))
    if not math.isclose(then, now, rel_tol=1e-6):
        last, peak = factor(scheduler, resumed.planned, step - 1), version.config.optimizer.lr
        say(
            f"the schedule ({scheduler.name}) is stretched from {resumed.planned} to {total} steps: the last step was "
            f"taken at {last:.1%} of the learning rate, {last * peak:.2g}, the next is at {now:.1%}, {now * peak:.2g}"
        )


def _surround(prepared: Prepared, record: Record, start: Start, held: tuple[Any, ...]) -> Member:
    """Give a version its measures, trackers and progress bar.

    Args:
        prepared: the version.
        record: its record.
        start: where it begins.
        held: what is closed when it leaves.
    """
    job, version = prepared.job, prepared.version
    config, number, folder = version.config, version.number, record.folder
    say(f"{config.name} v{number}: {folder}")
    say(f"device: {describe(version.accelerator, config.training.device)}")
    say(version.plan.explain())
    available = gpu_memory(version.accelerator.device)
    if available is not None:
        say(forecast(config, version.base, available))
    say(prepared.disk)
    member = Member(
        config=config,
        version=version,
        evaluator=Evaluator(config, version, folder, prepared.measuring, prepared.stopwatch),
        record=record,
        trackers=open_trackers(
            Tracked(
                config,
                folder,
                number,
                say,
                # Resumed without a state, even step 0 is logged again.
                resumed_step=(version.step or -1) if config.resume else None,
                job_type="trial" if job.trial else "train",
                trial=job.trial,
            )
        ),
        stopwatch=prepared.stopwatch,
        progress=Progress(
            f"{config.name} v{number}",
            version.plan.total_steps,
            version.step,
            epochs=version.plan.total_epochs,
            start_epoch=version.epoch,
        ),
        report=job.report,
        spill=SpillWatch(available) if available is not None else None,
        means=StepMeans(start.plain.get("means", {})),
        remeasured=start.measures,
        held=held,
    )
    if version.step:
        member.replay()
    return member
