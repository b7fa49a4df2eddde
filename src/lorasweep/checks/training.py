"""The loop."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.errors import Problem
from lorasweep.schema import Config


def _training(config: Config) -> Iterator[Problem]:
    if config.training.mixed_precision == "fp16" and config.training.device == "cpu":
        yield Problem(
            "training.mixed_precision=fp16 with training.device=cpu: a CPU trains in bf16 or no (auto)",
            "training.mixed_precision",
            "training.device",
        )


RULES = (_training,)
