"""The loop."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import inert
from lorasweep.config import Config
from lorasweep.errors import Problem


def _training(config: Config) -> Iterator[Problem]:
    if config.training.mixed_precision == "fp16" and config.training.device == "cpu":
        yield Problem(
            "training.mixed_precision=fp16 with training.device=cpu: a CPU trains in bf16 or no (auto)",
            "training.mixed_precision",
            "training.device",
        )


def _diffusers_folder(config: Config) -> Iterator[Problem]:
    if not config.training.diffusers_folder and config.network.type != "full":
        yield inert(config, "training.diffusers_folder", "without network=full", "network.type")


def _offload_idle(config: Config) -> Iterator[Problem]:
    if not config.training.offload_idle and config.training.device == "cpu":
        because = "with training.device=cpu: everything is in the CPU's memory"
        yield inert(config, "training.offload_idle", because, "training.device")


RULES = (
    _offload_idle,
    _diffusers_folder,
    _training,
)
