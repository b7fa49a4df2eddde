"""What can be wrong with a launcher before it is opened: the lanes' settings, and more trials than it runs at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from lorasweep.errors import Problem
from lorasweep.schema.nodes import read_options
from lorasweep.schema.option import option
from lorasweep.text.values import written

PREFIX = "hydra.launcher."
N_JOBS = "hydra.sweeper.n_jobs"


@dataclass(frozen=True)
class LaneSettings:
    """Every option of `hydra/launcher=lanes`; conf/hydra/launcher/lanes.yaml shows them to those who set them."""

    n_jobs: int | None = option(
        None, "number of processes; null takes the sweeper's, or one per GPU, or 2 without any", at_least=1
    )
    gpus: list[str] | None = option(
        None, "GPUs to deal out, one per process in turn; null takes all visible ones, [] leaves them alone"
    )
    grace_s: float = option(60.0, "seconds that interrupted work has to save its state before it is killed", at_least=0)
    folder: str | None = option(None, "where process i writes lane-<i>.log; null takes hydra.sweep.dir/lanes")


def lane_settings(config: DictConfig) -> tuple[LaneSettings, list[Problem]]:
    """Return the settings of a config's lanes, and what is wrong with them on this machine."""
    settings, problems = read_options(LaneSettings, config.hydra.launcher, PREFIX)
    return settings, [*problems, *_absent_gpus(settings)]


def problems(config: DictConfig, n_jobs: int | None) -> list[Problem]:
    """Return what is wrong with a multirun's launcher.

    Args:
        config: the multirun's.
        n_jobs: how many trials the sweeper wants to run at a time; None leaves it to the launcher.
    """
    if not _is(config, "LanesLauncher"):
        return []
    settings, found = lane_settings(config)
    if None not in (n_jobs, settings.n_jobs) and n_jobs != settings.n_jobs:
        mine = f"{PREFIX}n_jobs"
        found.append(Problem(f"{N_JOBS}={n_jobs} and {mine}={settings.n_jobs}: give one of them", N_JOBS, mine))
    return found


def one_at_a_time(config: DictConfig, n_jobs: int | None) -> str | None:
    """Return in words that a multirun's launcher cannot run as many trials at a time as are asked for, if so.

    Args:
        config: the multirun's.
        n_jobs: how many trials the sweeper wants to run at a time; None leaves it to the launcher.
    """
    if not _is(config, "BasicLauncher") or (n_jobs or 1) == 1:
        return None
    how = f"the basic launcher runs one trial after another: add hydra/launcher=lanes for {n_jobs} at a time"
    return f"{N_JOBS}={n_jobs}: {how}"


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, or all that there are."""
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        devices = [device.strip() for device in listed.split(",")]
        # As CUDA reads it: what follows an invalid entry (-1, empty) is not visible.
        end = next((index for index, device in enumerate(devices) if device in ("", "-1")), len(devices))
        return devices[:end]
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # a container may lack it
        return [str(index) for index, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    count = sum(line.startswith("GPU ") for line in answer.splitlines())
    return [str(index) for index in range(count)]


def _is(config: DictConfig, launcher: str) -> bool:
    return str(config.hydra.launcher.get("_target_")).endswith(f".{launcher}")


def _absent_gpus(settings: LaneSettings) -> Iterator[Problem]:
    """Yield that GPUs are to be dealt out that are not there."""
    if not settings.gpus or Path("/dev/kfd").exists():  # AMD's, which nobody counts here
        return
    visible = visible_gpus(os.environ)
    absent = [gpu for gpu in settings.gpus if gpu not in visible and not (visible and gpu.startswith(("GPU-", "MIG-")))]
    if absent:
        known = f"visible here are {', '.join(visible)}" if visible else "no GPU is visible here; leave it out"
        yield Problem(f"{PREFIX}gpus={written(settings.gpus)}: {known}", f"{PREFIX}gpus")
