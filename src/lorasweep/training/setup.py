"""Everything a version needs before its first step, in order: data, folder, record, adapter, measures, trackers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lorasweep import files, ledger, lock
from lorasweep.bases.sdxl import SDXL
from lorasweep.config import OBJECTIVES, Config
from lorasweep.console import Progress, keep, open_log, say, tracked
from lorasweep.data.dataset import Dataset
from lorasweep.data.survey import Survey
from lorasweep.data.text import TextCache
from lorasweep.errors import UserError
from lorasweep.evaluation.clip import Clip
from lorasweep.toy import CLIP_PATH
from lorasweep.toy.drawn import with_drawn_images
from lorasweep.tracking.group import open_trackers
from lorasweep.training import disk, starting_point
from lorasweep.training.continuation import Unfit, reading, take_over
from lorasweep.training.device import describe, gpu_memory, open_accelerator
from lorasweep.training.environment import environment
from lorasweep.training.evaluator import Evaluator
from lorasweep.training.forecast import forecast
from lorasweep.training.idle import ENCODERS
from lorasweep.training.means import StepMeans
from lorasweep.training.member import Job, Member, now
from lorasweep.training.spill import SpillWatch
from lorasweep.training.stopwatch import Stopwatch
from lorasweep.training.version import Version


def set_up(job: Job, base: SDXL, stopwatch: Stopwatch) -> Member:
    """Prepare one version up to its first step; a resumed one is put where its last state was saved.

    The data is read before a version number is taken, so that a run that refuses to start leaves no folder.

    Raises:
        UserError: bad data, a version that is complete or being trained elsewhere, an unwritable folder.
    """
    config = job.config
    if not config.resume:
        starting_point.examine(config, base.unet.config)
    with stopwatch("cache"):
        dataset, text_cache = read_data(config, base, job.seen)
    if config.resume:
        folder = ledger.find(config.output_root, config.name, config.resume)
        record = ledger.Record(folder)
        number = record.values["version"]
        held = lock.take(folder)
        _check_unfinished(record, dataset.plan.total_steps)
        stopwatch.continue_from(record.values["seconds"])
    else:
        number, folder = ledger.open_version(config.output_root, config.name)
        held = lock.take(folder)
        _write_hydra_folder(folder, job)
        record = ledger.Record(folder, _first_record(job, number, base, dataset, environment(base.device)))
    log = open_log(folder / "train.log")
    keep("\n".join(dataset.report.lines()))  # told before there was a log
    try:
        if job.start_from is not None and not config.resume:
            _begin_from(job.start_from, folder, record, stopwatch)
        return _assemble(job, number, folder, record, dataset, text_cache, base, stopwatch, held=(held, log))
    except Exception as error:
        record.update(status="failed", reason=str(error) or type(error).__name__, finished=now())
        raise


def read_data(config: Config, base: SDXL, seen: Survey | None = None) -> tuple[Dataset, TextCache]:
    """Return a version's images, and its captions' embeddings while the text encoders are frozen; all in the cache.

    Args:
        config: the version's.
        base: encodes them.
        seen: the survey of the data, told already; None makes and tells one.

    Raises:
        UserError: bad data, or a cache that cannot be written.
    """
    offload = config.training.offload_idle
    base.placement.rest(ENCODERS if offload else ())  # while images are encoded
    dataset = Dataset.build(with_drawn_images(config, progress=tracked), base, seen, say=say, progress=tracked)
    padded = config.compat.pad_captions
    text_cache = TextCache(base, dataset.cache, config.dataset.max_tokens, padded=padded)
    base.placement.rest(["vae"] if offload else ())  # while captions are
    if not config.optimizer.text_encoder_lr and not config.optimizer.text_encoder_2_lr:
        text_cache.warm(dataset.captions())
    return dataset, text_cache


def _assemble(
    job: Job,
    number: int,
    folder: Path,
    record: ledger.Record,
    dataset: Dataset,
    text_cache: TextCache,
    base: SDXL,
    stopwatch: Stopwatch,
    held: tuple[Any, ...],
) -> Member:
    """Put the parts of one version together, at step 0 or where its last state was saved."""
    config = job.config
    version = Version(config, number, base, dataset, text_cache, open_accelerator(config.training))
    try:
        went_before: dict[str, Any] = {}
        if config.resume:
            went_before = _continue(version, record, folder)
        elif record.values["continued_from"]:
            went_before = version.load_state(folder)
        means = StepMeans(went_before.get("means", {}))
        return _surround(version, job, folder, record, stopwatch, means, held)
    except BaseException:
        version.remove()
        raise


def _surround(
    version: Version,
    job: Job,
    folder: Path,
    record: ledger.Record,
    stopwatch: Stopwatch,
    means: StepMeans,
    held: tuple[Any, ...],
) -> Member:
    """Give a version its measures, trackers and progress bar."""
    config, number = version.config, version.number
    say(f"{config.name} v{number}: {folder}")
    say(f"device: {describe(version.accelerator, config.training.device)}")
    say(version.plan.explain())
    available = gpu_memory(version.accelerator.device)
    if available is not None:
        say(forecast(config, version.base, available))
    needed = disk.footprint(config, version.parameters, version.base.modules, version.plan.total_epochs)
    say(disk.check(needed, config, folder, job.overrides))
    member = Member(
        config=config,
        version=version,
        evaluator=Evaluator(config, version, folder, _clip(config), stopwatch),
        folder=folder,
        record=record,
        trackers=open_trackers(
            config,
            folder,
            number,
            say=say,
            # Resumed without a state, even step 0 is logged again.
            resumed_step=(version.step or -1) if config.resume else None,
            job_type="trial" if job.trial else "train",
            trial=job.trial,
        ),
        stopwatch=stopwatch,
        progress=Progress(
            f"{config.name} v{number}",
            version.plan.total_steps,
            version.step,
            epochs=version.plan.total_epochs,
            start_epoch=version.epoch,
        ),
        report=job.report,
        spill=SpillWatch(available) if available is not None else None,
        means=means,
        held=held,
    )
    if version.step and not config.resume:
        member.replay()
    return member


def _check_unfinished(record: ledger.Record, total_steps: int) -> None:
    done = record.values["epochs"][-1]["step"] if record.values["epochs"] else 0
    if record.values["status"] == "complete" and total_steps <= done:
        raise UserError(
            f"v{record.values['version']} is complete ({done} steps): give more with training.epochs=N or "
            "training.max_steps=N, or start a new version without resume"
        )


def _continue(version: Version, record: ledger.Record, folder: Path) -> dict[str, Any]:
    """Put a version where its last state was saved, drop from the record what came after; return the plain state."""
    files.remove_leftovers(folder)
    files.remove_leftovers(folder / "state")
    files.remove_leftovers(folder / "samples")
    plain = version.load_state(folder)
    kept = [entry for entry in record.values["epochs"] if entry["step"] <= version.step]
    record.update(status="running", reason=None, finished=None, epochs=kept)
    if version.step == 0:  # it was to continue another version, but was stopped before it had its state
        record.update(continued_from=None)
    say(f"resumed after step {version.step} of {version.plan.total_steps}")
    return plain


def _begin_from(earlier: Path, folder: Path, record: ledger.Record, stopwatch: Stopwatch) -> None:
    """Take over what the version in the folder `earlier` has done, as far as it has the same training to do."""
    try:
        with reading(earlier, record.values) as found:
            record.update(**take_over(found, folder, f"{record.values['name']}_v{record.values['version']}"))
            stopwatch.continue_from(found.record["seconds"])
            say(f"continues {found.folder.name} after step {found.step}")
    except Unfit as reason:
        record.update(continued_from=None)
        say(f"{earlier.name} cannot be continued ({reason}): starting from step 0")


def _first_record(
    job: Job, number: int, base: SDXL, dataset: Dataset, surroundings: dict[str, str | None]
) -> dict[str, Any]:
    config = job.config
    return {
        "name": config.name,
        "version": number,
        "recipe": config.recipe,
        "status": "running",
        "reason": None,
        "config": OmegaConf.to_container(OmegaConf.structured(config)),
        "overrides": job.overrides,
        "objective": {
            "name": config.objective,
            "value": None,
            "direction": OBJECTIVES[config.objective],
        },
        "metrics": {},
        "selected_epoch": None,
        "selected_because": None,
        "epochs": [],
        "base": {"family": base.family, "path": config.base_model.path or "toy", "sha256": base.sha256},
        "dataset": {
            "path": config.dataset.path or f"theme:{config.dataset.theme}",
            "images": dataset.images,
            "heldout": dataset.heldout_count,
            "sha256": dataset.sha256,
            "heldout_sha256": dataset.heldout_sha256,
            "skipped": dataset.skipped,
            "warnings": [str(finding) for finding in dataset.report.warnings],
        },
        "multirun": os.environ.get(ledger.MULTIRUN),
        "trial": {key: job.trial[key] for key in ("study", "number")} if job.trial else None,
        # The step is set when everything is copied; until then this leads whoever continues the new version on.
        "continued_from": job.start_from and {"version": ledger.number_of(job.start_from), "step": 0},
        "environment": surroundings,
        "seconds": Stopwatch().read(),
        "started": now(),
        "finished": None,
    }


def _write_hydra_folder(folder: Path, job: Job) -> None:
    """Write `.hydra/` as Hydra would, with every interpolation resolved: the config alone is enough to run again."""
    hydra = folder / ".hydra"
    files.write_atomic(hydra / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(job.config)))
    files.write_atomic(hydra / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(job.overrides))))
    files.write_atomic(hydra / "choices.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(job.choices))))


def _clip(config: Config) -> Clip | None:
    """Return the CLIP that judges samples: the given one, the toy's own on the toy base, else none."""
    if not config.evaluation.clip or not config.sampling.prompts:
        return None
    path = config.evaluation.clip_path or (str(CLIP_PATH) if config.base_model.path is None else None)
    if path is None:
        say("no CLIP metrics: give a transformers CLIP with evaluation.clip_path=FOLDER_OR_HUB_ID to have them")
        return None
    return Clip.load(path)
