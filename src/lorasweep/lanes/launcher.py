"""The launcher `lanes`: opens child processes for a sweeper, shares out the machine, runs plain grids on them."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from lorasweep.errors import UserError
from lorasweep.interruption import exit_now, listening
from lorasweep.lanes.child import App, pack
from lorasweep.lanes.processes import ProcessLanes
from lorasweep.lanes.settings import lane_settings, visible_gpus
from lorasweep.lanes.work import Ended, Work, failure_reason

log = logging.getLogger(__name__)

LANES_WITHOUT_GPU = 2
TITLE = "The lanes cannot be opened"


def open_processes(
    task: TaskFunction, context: HydraContext, config: DictConfig, n_jobs: int | None = None
) -> ProcessLanes:
    """Return lanes for an app; no process is started yet.

    Args:
        task: what hydra.main decorated.
        context: what Hydra set the launcher up with.
        config: the multirun's; `hydra.launcher` says how many lanes there are, and on which GPUs.
        n_jobs: number of lanes where `hydra.launcher` does not say; None = one per GPU, or 2 without any.

    Raises:
        UserError: a setting has an impossible value, or the app cannot be sent to another process.
    """
    settings, problems = lane_settings(config)
    if problems:
        raise UserError(problems, TITLE)
    devices = visible_gpus(os.environ) if settings.gpus is None else settings.gpus
    capacity = settings.n_jobs or n_jobs or len(devices) or LANES_WITHOUT_GPU
    try:
        parcel = pack(App(task, context, config, Singleton.get_state()))
    except Exception as error:
        raise UserError(
            f"the app cannot be sent to a lane's process: {failure_reason(error)}; something it holds in a global "
            "variable or a resolver cannot be pickled. hydra/launcher=basic runs the trials in this process",
            TITLE,
        ) from error
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [share(index, capacity, devices, cores, os.environ) for index in range(capacity)]
    folder = Path(settings.folder or Path(str(config.hydra.sweep.dir), "lanes")).expanduser()
    return ProcessLanes(parcel, capacity, folder.absolute(), shares.__getitem__, settings.grace_s)


def launch(
    open_lanes: Callable[[], ProcessLanes], config: DictConfig, batch: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run the jobs of a plain grid on lanes, each as soon as one is free, and return them in the order given.

    A job that failed, or whose lane died, does not stop the others.

    Args:
        open_lanes: opens the lanes.
        config: of the multirun.
        batch: each job's overrides.
        first: its first number.

    Raises:
        KeyboardInterrupt, SystemExit: interrupted; what was running has ended.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    waiting = deque(Work(number, tuple(overrides), whole=True) for number, overrides in enumerate(batch, first))
    shared = set(batch[0]).intersection(*batch) if len(batch) > 1 else set[str]()
    started: dict[int, Work] = {}
    ended: dict[int, Ended] = {}
    lanes = open_lanes()
    many = f"{lanes.capacity} lane{'s' if lanes.capacity > 1 else ''}"
    _log_line(f"Launching {len(batch)} jobs on {many}, whose output goes to {lanes.folder}")
    try:
        with listening(exit_now):
            while waiting or len(ended) < len(started):
                while waiting and len(started) - len(ended) < lanes.capacity:
                    work = waiting.popleft()
                    _log_line(f"\t#{work.number} : {_listed(work)}")
                    lanes.start(work)
                    started[work.number] = work
                for one in lanes.wait(1.0):
                    ended[one.number] = one
                    _log_line(f"\t#{one.number} {_summary(one, started[one.number], shared)}")
    except (KeyboardInterrupt, SystemExit):
        lanes.stop()
        raise
    finally:
        lanes.close()
    failed = [f"#{number}" for number, one in sorted(ended.items()) if one.error]
    if failed:
        _log_line(f"{len(failed)} of {len(batch)} jobs failed: {', '.join(failed)}")
    return [_job_return(ended[number], overrides) for number, overrides in enumerate(batch, first)]


def share(index: int, lanes: int, gpus: Sequence[str], cores: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give lane `index` its part of the machine.

    One GPU each, dealt out in turn (lanes share them where there are fewer GPUs than lanes), by the numbers that
    nvidia-smi gives them: CUDA's own begin with the fastest. Whoever numbers them in the environment already means
    CUDA's. And an equal part of the cores, unless OMP_NUM_THREADS is set already.
    """
    part: dict[str, str] = {}
    if gpus:
        part["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
        if environment.keys().isdisjoint(("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")):
            part["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if "OMP_NUM_THREADS" not in environment:
        part["OMP_NUM_THREADS"] = str(max(1, cores // lanes))
    return part


def _listed(work: Work) -> str:
    return " ".join(filter_overrides(work.overrides))


def _summary(ended: Ended, work: Work, shared: Collection[str]) -> str:
    """Return in words how a job ended, and where to read on.

    Args:
        ended: how.
        work: the job.
        shared: the overrides that all jobs of its batch have: the others say which one it is.
    """
    which = f"({' '.join(text for text in filter_overrides(work.overrides) if text not in shared)})"
    if ended.error is None:
        value = f"{ended.value:.6g}" if isinstance(ended.value, float) else repr(ended.value)
        return f"returned {value} {which}"
    where = "" if ended.crashed or ended.log is None else f"; its output is in {ended.log}"  # a crash's error names it
    return f"{which} failed: {ended.error}{where}"


def _job_return(ended: Ended, overrides: Sequence[str]) -> JobReturn:
    """Return what Hydra is to know of a job; of one whose lane died that is how it was started."""
    if ended.job is not None:
        returned = ended.job
    else:
        returned = JobReturn(overrides=list(filter_overrides(overrides)), working_dir=str(Path.cwd()))
        returned.task_name = str(HydraConfig.get().job.name) if HydraConfig.initialized() else None
    returned.status = JobStatus.COMPLETED if ended.error is None else JobStatus.FAILED
    returned.return_value = ended.value if ended.error is None else CompactHydraException(ended.error)
    return returned


def _log_line(line: str) -> None:
    """Log a line as Hydra's own launchers do, or print it where the app has switched Hydra's logging off."""
    if log.isEnabledFor(logging.INFO) and log.hasHandlers():
        log.info(line)
    else:
        print(line.strip(), flush=True)
