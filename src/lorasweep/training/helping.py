"""What every process of a launch but the first does: the same steps on its own rows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorasweep.console import lines as console
from lorasweep.errors import UserError
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.device import open_accelerator
from lorasweep.training.member import Job, Member
from lorasweep.training.memory.shortage import out_of_memory
from lorasweep.training.processes import LostProcessError, PeerError, Processes
from lorasweep.training.setup import read_data
from lorasweep.training.version import NonFiniteError, Version


@dataclass(frozen=True)
class Place:
    """Where the version is that a process helps with.

    Attributes:
        number: N of vN. folder: its folder. begun: whether it goes on from a saved state.
    """

    number: int
    folder: Path
    begun: bool

    @classmethod
    def of(cls, member: Member) -> Place:
        """Return the place of a version that has been set up."""
        return cls(member.version.number, member.folder, member.version.step > 0)


def check_launch(count: int, jobs: Sequence[Job]) -> None:
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


def help_along(job: Job, load: Callable[[], SDXL], processes: Processes) -> None:
    """Take every step that the first process announces, until it has no more.

    What goes wrong together, or on any process for want of memory, is the first one's to tell.

    Args:
        job: the version.
        load: returns its base, loaded.
        processes: this one and the others.
    """
    try:
        _help(job.config, load, processes)
    except (PeerError, LostProcessError):
        pass
    except Exception as error:
        if not out_of_memory(error):
            raise


def _help(config: Config, load: Callable[[], SDXL], processes: Processes) -> None:
    try:
        base: SDXL | Exception = load()
    except Exception as error:  # raised where the first process listens
        base = error
    place: Place | None = processes.hear()
    if place is None:
        return
    with processes.together():
        version = _version(config, place, base)
    try:
        while processes.hear():
            with suppress(NonFiniteError):
                version.train_step()
    finally:
        version.remove()


def _version(config: Config, place: Place, base: SDXL | Exception) -> Version:
    """Return the first process's version as it stands before its next step.

    The data is read when that process has read it, so that everything is in the cache.
    """
    if isinstance(base, Exception):
        raise base
    with console.silenced():
        dataset, text_cache = read_data(config, base)
        accelerator = open_accelerator(config.training)
        version = Version(config, place.number, base, dataset, text_cache, accelerator, begun=place.begun)
    if place.begun:
        version.load_state(place.folder)
    return version
