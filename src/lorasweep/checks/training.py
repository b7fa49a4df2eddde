"""The loop."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import inert
from lorasweep.config import Config


def _training(config: Config) -> Iterator[str]:
    if config.training.mixed_precision == "fp16" and config.training.device == "cpu":
        yield "training.mixed_precision=fp16 with training.device=cpu: a CPU trains in bf16 or no (auto)"


def _diffusers_folder(config: Config) -> Iterator[str]:
    if not config.training.diffusers_folder and config.network.type != "full":
        yield inert(config, "training.diffusers_folder", "without network=full")


def _offload_idle(config: Config) -> Iterator[str]:
    if not config.training.offload_idle and config.training.device == "cpu":
        yield inert(config, "training.offload_idle", "with training.device=cpu: everything is in the CPU's memory")


RULES = (
    _offload_idle,
    _diffusers_folder,
    _training,
)
