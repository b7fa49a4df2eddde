"""The loop."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.config import Config


def _training(config: Config) -> Iterator[str]:
    if config.training.mixed_precision == "fp16" and config.training.device == "cpu":
        yield "training.mixed_precision=fp16 with training.device=cpu: a CPU trains in bf16 or no (auto)"


RULES = (_training,)
