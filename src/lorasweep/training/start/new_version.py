"""The folder of a new version, and what is written there before anything is trained."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from omegaconf import OmegaConf

from lorasweep import files
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.runs import ledger, lock, paths
from lorasweep.runs.command_lines import recipe_folders, without_permissions
from lorasweep.runs.environment import environment
from lorasweep.runs.record import ObjectiveRecord, Origin, Record, TrialRecord, now
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema.goals import parse_goal
from lorasweep.training.job import Job
from lorasweep.training.start.subject import Subject
from lorasweep.training.version import Version


def open_new(job: Job, subject: Subject, version: Version, resources: ExitStack) -> Record:
    """Give a version its number, its folder and its first record.

    Args:
        job: what it is asked to be.
        subject: what it learns from, and how.
        version: gets the number.
        resources: keep other processes out, until they are closed.

    Raises:
        UserError: the folder cannot be written.
    """
    version.number, folder = ledger.open_version(job.config.output_root, job.config.name, recipe_folders(job.overrides))
    resources.enter_context(lock.take(folder))
    _write_config(folder, job, subject)
    files.write_json(paths.manifest(folder), subject.images)
    record = _first_record(folder, job, subject, version)
    record.write()
    return record


def _write_config(folder: Path, job: Job, subject: Subject) -> None:
    """Write `.hydra/` as Hydra would, with every interpolation resolved: the config alone is enough to run again."""
    files.write_atomic(paths.config(folder), OmegaConf.to_yaml(OmegaConf.create(subject.config)))
    files.write_atomic(paths.overrides(folder), OmegaConf.to_yaml(OmegaConf.create(without_permissions(job.overrides))))
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
        overrides=without_permissions(job.overrides),
        objective=ObjectiveRecord(config.objective, None, parse_goal(config.objective, config.allow_code).direction),
        base=subject.base,
        dataset=subject.dataset,
        multirun=os.environ.get(ledger.MULTIRUN),
        trial=TrialRecord(str(job.trial["study"]), int(str(job.trial["number"]))) if job.trial else None,
        started_from=version.started_from,
        # The step is set when everything is copied; until then this leads whoever continues the new version on.
        continued_from=Origin(ledger.number_of(job.start_from)) if job.start_from else None,
        environment=environment(version.base.device, optimizer_kind(config.optimizer.name).package),
        seconds=Stopwatch().read(),
        started=now(),
    )
