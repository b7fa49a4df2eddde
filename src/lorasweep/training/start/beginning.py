"""Where a version begins: at step 0, where another one stopped, or where its own last state was saved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lorasweep import files
from lorasweep.console.lines import echo
from lorasweep.errors import UserError
from lorasweep.optim.schedule import factor
from lorasweep.runs import paths
from lorasweep.runs.record import Record
from lorasweep.training.start import remeasuring
from lorasweep.training.start.continuation import Unfit, continuable, copy_progress, whole_epochs
from lorasweep.training.start.resumption import Resumption
from lorasweep.training.start.setup import Prepared
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


def continue_in_place(prepared: Prepared, resumed: Resumption, record: Record) -> Start:
    """Put a version where its last state was saved, and drop from its record what came after."""
    version, folder, measures = prepared.version, record.folder, resumed.differences.measures
    for subfolder in paths.subfolders(folder):
        files.remove_leftovers(subfolder)
    start = Start(version.state.load(folder), measures)
    origin = record.continued_from
    if version.step == 0 and origin:  # stopped while it was copied
        start = begin_from(prepared, paths.sibling(folder, origin.version), record)
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
    echo(f"resumed after step {version.step} of {version.plan.total_steps}")
    return start


def begin_from(prepared: Prepared, earlier: Path, record: Record) -> Start:
    """Take over what the version in the folder `earlier` has done; begin at step 0 where that is impossible.

    Raises:
        UserError: a new version was asked for that goes on from it.
    """
    version, resumed = prepared.version, prepared.resumption
    try:
        with continuable(earlier, prepared.subject, longer=resumed is not None) as found:
            copy_progress(found, record, version.plan.epoch_ends)
            prepared.stopwatch.continue_from(found.record.seconds)
            echo(f"continues {found.record.folder.name} after step {found.step}")
    except Unfit as reason:
        if resumed is not None and not resumed.in_place:
            raise UserError(f"{earlier.name} cannot be continued: {reason}") from None
        record.continued_from = None
        record.write()
        echo(f"{earlier.name} cannot be continued ({reason}): starting from step 0")
        version.start()
        return Start()
    start = Start(version.state.load(record.folder), found.differences.measures)
    version.started_from = record.started_from
    if resumed is not None and not resumed.in_place:
        _explain_stretching(version, resumed)
    return start


def _explain_stretching(version: Version, resumed: Resumption) -> None:
    """Say what another length of the training does to the learning rate, if anything."""
    scheduler, step, total = version.config.scheduler, version.step, version.plan.total_steps
    echo(f"{resumed.folder.name} stays as it is; this is a new version, from step {step} to {total}")
    then, now = (factor(scheduler, steps, step) for steps in (resumed.planned, total))
    if not math.isclose(then, now, rel_tol=1e-6):
        last, peak = factor(scheduler, resumed.planned, step - 1), version.config.optimizer.lr
        echo(
            f"the schedule ({scheduler.name}) is stretched from {resumed.planned} to {total} steps: the last step was "
            f"taken at {last:.1%} of the learning rate, {last * peak:.2g}, the next is at {now:.1%}, {now * peak:.2g}"
        )
