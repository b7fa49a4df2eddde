"""Everything that can refuse a version: its data, its settings on this base, what it goes on from.

Nothing of a version is written here; `lorasweep.training.start.opening` gives it its folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lorasweep.console.lines import echo, tracked
from lorasweep.data.dataset import Dataset
from lorasweep.data.providers import with_images
from lorasweep.data.survey import Survey
from lorasweep.data.text import TextCache
from lorasweep.families.base import Base
from lorasweep.families.device import open_accelerator
from lorasweep.families.parts import learning_rates
from lorasweep.metrics.metric import Measuring
from lorasweep.metrics.prepared import prepared
from lorasweep.runs import command_lines as commands
from lorasweep.runs import state
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema import Config
from lorasweep.training import disk
from lorasweep.training.job import Job
from lorasweep.training.memory.host import check_host_memory
from lorasweep.training.start import starting_point
from lorasweep.training.start.continuation import Unfit, continuable
from lorasweep.training.start.resumption import Resumption, resumption
from lorasweep.training.start.subject import Subject
from lorasweep.training.version import Version


@dataclass
class Prepared:
    """A version that can start: all that could have refused it is done, and nothing is written yet.

    Attributes:
        job: what it is asked to be; of a new version, without `resume`.
        version: the trainable side, at its very beginning.
        subject: what it learns from, and how.
        stopwatch: where its seconds went.
        measuring: what measures it.
        disk: what it takes of the disk and what is free there, in a line.
        resumption: what it goes on from, in place or as a new version; None of one that is not resumed.
    """

    job: Job
    version: Version
    subject: Subject
    stopwatch: Stopwatch
    measuring: list[Measuring]
    disk: str
    resumption: Resumption | None


def prepare_version(job: Job, base: Base, stopwatch: Stopwatch, *, main: bool = True) -> Prepared:
    """Read the data and build the adapter of one version, which takes no number and writes no file yet.

    Args:
        job: what it is asked to be.
        base: the frozen model.
        stopwatch: gets the seconds that it takes.
        main: whether this is the first process of its launch, which alone measures and writes.

    Raises:
        UserError: bad data, settings that the base or the adapter refuse, a version that cannot be resumed.
    """
    if not job.config.resume and job.start_from is None:
        starting_point.examine(job.config, base.naming)
    if main:
        check_host_memory(job.config, base)
    with stopwatch("cache"):
        dataset, text_cache = read_data(job.config, base, job.seen)
    subject = Subject.of(replace(job.config, resume=None), base, dataset)
    resumed = resumption(job.config, subject, dataset) if job.config.resume else None
    if resumed is not None and not resumed.in_place:
        job = _new_version(job, resumed)
    elif resumed is None and job.start_from is not None:
        job = replace(job, start_from=_fit(job.start_from, subject))
    # Where a state holds everything, the file that the adapter once started from may be gone.
    begun = job.start_from is not None or (resumed is not None and state.latest(resumed.folder) is not None)
    version = Version(job.config, 0, base, dataset, text_cache, open_accelerator(job.config.training), begun=begun)
    try:
        measuring, room = (prepared(job.config), _room(job, version, resumed)) if main else ([], "")
        return Prepared(job, version, subject, stopwatch, measuring, room, resumed)
    except BaseException:
        version.remove()
        raise


def _new_version(job: Job, resumed: Resumption) -> Job:
    """Return what a version is asked to be that begins from the one that is resumed."""
    overrides = commands.changed(resumed.record.overrides, job.overrides)
    return replace(job, config=replace(job.config, resume=None), overrides=overrides, start_from=resumed.folder)


def _fit(earlier: Path, subject: Subject) -> Path | None:
    """Return the folder of an earlier version if the new one can begin where that one stopped; else say why not."""
    try:
        with continuable(earlier, subject):
            return earlier
    except Unfit as reason:
        echo(f"{earlier.name} cannot be continued ({reason}): starting from step 0")
        return None


def _room(job: Job, version: Version, resumed: Resumption | None) -> str:
    """Return what a version takes of the disk, in a line; refuse what does not fit."""
    config = job.config
    folder = resumed.folder if resumed is not None and resumed.in_place else Path(config.output_root)
    needed = disk.footprint(config, version.state.parameters, version.base.modules, version.plan.total_epochs)
    return disk.check_disk(needed, config, folder, job.overrides)


def read_data(config: Config, base: Base, seen: Survey | None = None) -> tuple[Dataset, TextCache]:
    """Return a version's images, and its captions' embeddings while the text encoders are frozen; all in the cache.

    Args:
        config: the version's.
        base: encodes them.
        seen: the survey of the data, told already; None makes and tells one.

    Raises:
        UserError: bad data, or a cache that cannot be written.
    """
    offload = config.training.offload_idle
    base.offloader.offload(base.family.encoders if offload else ())  # while images are encoded
    dataset = Dataset.build(with_images(config, progress=tracked), base, seen, print_line=echo, progress=tracked)
    padded = config.compat.pad_captions
    text_cache = TextCache(base, dataset.cache, config.dataset.max_tokens, padded=padded)
    base.offloader.offload(base.family.image_parts if offload else ())  # while captions are
    rates = learning_rates(base.family.parts, config.optimizer)
    if not any(encoder in rates for encoder in base.family.encoders):
        text_cache.warm(dataset.captions())
    return dataset, text_cache
