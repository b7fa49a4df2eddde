"""The launcher `lanes`: opens child processes for a sweeper, shares out the machine, runs plain grids on them."""

from __future__ import annotations

import logging
import os
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from lorasweep.errors import UserError
from lorasweep.interruption import leave, listening
from lorasweep.sweeping.lane import App, pack
from lorasweep.sweeping.lanes import Ended, Lanes, Work, in_a_line
from lorasweep.sweeping.processes import Processes

log = logging.getLogger(__name__)

LANES_WITHOUT_GPU = 2


def open_processes(
    task: TaskFunction,
    context: HydraContext,
    config: DictConfig,
    *,
    n_jobs: int | None,
    gpus: Sequence[int | str] | None,
    grace_s: float,
    folder: str,
) -> Processes:
    """Return lanes for an app; no process is started yet.

    Args:
        task: what hydra.main decorated. context, config: what Hydra set the launcher up with.
        n_jobs: number of lanes; None = one per GPU, or 2 without any.
        gpus: the GPUs to deal out (indices or UUIDs), [] = leave CUDA_VISIBLE_DEVICES alone, None = all visible ones.
        grace_s: seconds that interrupted work has before it is killed. folder: of the lanes' logs.

    Raises:
        UserError: a setting has an impossible value, or the app cannot be sent to another process.
    """
    problems = []
    if n_jobs is not None and n_jobs < 1:
        problems.append(f"n_jobs={n_jobs}: at least one lane is needed; null lets the launcher decide")
    if not grace_s >= 0:
        problems.append(f"hydra.launcher.grace_s={grace_s}: give the seconds that interrupted work has to save itself")
    if problems:
        raise UserError(problems, title="The lanes cannot be opened")
    devices = visible_gpus(os.environ) if gpus is None else [str(gpu) for gpu in gpus]
    capacity = n_jobs or len(devices) or LANES_WITHOUT_GPU
    try:
        parcel = pack(App(task, context, config, Singleton.get_state()))
    except Exception as error:
        raise UserError(
            f"the app cannot be sent to a lane's process: {in_a_line(error)}; something it holds in a global variable "
            "or a resolver cannot be pickled. hydra/launcher=basic runs the trials in this process",
            title="The lanes cannot be opened",
        ) from error
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [share(index, capacity, devices, cores, os.environ) for index in range(capacity)]
    return Processes(parcel, capacity, Path(folder).absolute(), shares.__getitem__, grace_s)


def launch(
    open_lanes: Callable[[], Lanes], config: DictConfig, batch: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run the jobs of a plain grid on lanes, each as soon as one is free, and return them in the order given.

    A job that failed, or whose lane died, does not stop the others. The jobs' configs stay in the lanes' processes:
    `cfg` and `hydra_cfg` of what is returned are None.

    Args:
        open_lanes: opens the lanes. config: of the multirun. batch: each job's overrides. first: its first number.

    Raises:
        KeyboardInterrupt, SystemExit: interrupted; what was running has ended.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    waiting = deque(Work(number, tuple(overrides)) for number, overrides in enumerate(batch, first))
    ended: dict[int, Ended] = {}
    lanes = open_lanes()
    _say(f"Launching {len(batch)} jobs on {lanes.capacity} lane{'s' if lanes.capacity > 1 else ''}")
    try:
        with listening(leave):
            running = 0
            while waiting or running:
                while waiting and running < lanes.capacity:
                    work = waiting.popleft()
                    _say(f"\t#{work.number} : {' '.join(filter_overrides(work.overrides))}")
                    lanes.start(work)
                    running += 1
                for one in lanes.wait(1.0):
                    ended[one.number] = one
                    running -= 1
                    # Of failures Hydra tells only the first, and at the end.
                    _say(f"\t#{one.number} " + (f"failed: {one.error}" if one.error else f"returned {one.value!r}"))
    except (KeyboardInterrupt, SystemExit):
        lanes.stop()
        raise
    finally:
        lanes.close()
    return [_job_return(ended[number], list(overrides)) for number, overrides in enumerate(batch, first)]


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, or all that nvidia-smi lists."""
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        devices = [device.strip() for device in listed.split(",")]
        # As CUDA reads it: what follows an invalid entry (-1, empty) is not visible.
        end = next((place for place, device in enumerate(devices) if device in ("", "-1")), len(devices))
        return devices[:end]
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    count = sum(line.startswith("GPU ") for line in answer.splitlines())
    return [str(index) for index in range(count)]


def share(index: int, lanes: int, gpus: Sequence[str], cores: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give lane `index` its part of the machine.

    One GPU each, dealt out in turn (lanes share them where there are fewer GPUs than lanes); an equal part of the
    cores, unless OMP_NUM_THREADS is set already.
    """
    part: dict[str, str] = {}
    if gpus:
        part["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    if "OMP_NUM_THREADS" not in environment:
        part["OMP_NUM_THREADS"] = str(max(1, cores // lanes))
    return part


def _job_return(ended: Ended, overrides: list[str]) -> JobReturn:
    returned = JobReturn(overrides=list(filter_overrides(overrides)), working_dir=str(Path.cwd()))
    returned.task_name = str(HydraConfig.get().job.name) if HydraConfig.initialized() else None
    returned.status = JobStatus.COMPLETED if ended.error is None else JobStatus.FAILED
    returned.return_value = ended.value if ended.error is None else CompactHydraException(ended.error)
    return returned


def _say(line: str) -> None:
    """Log a line as Hydra's own launchers do, or print it where the app has switched Hydra's logging off."""
    if log.isEnabledFor(logging.INFO) and log.hasHandlers():
        log.info(line)
    else:
        print(line.strip(), flush=True)
