"""What is minimised."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import default, inert
from lorasweep.config import Config, value_at


def _loss(config: Config) -> Iterator[str]:
    loss = config.loss
    if loss.type == "l2":
        for key in ("loss.huber_schedule", "loss.huber_c", "loss.huber_scale"):
            if value_at(config, key) != default(key):
                yield inert(config, key, "while loss.type is l2: choose loss=huber or loss=smooth_l1")
    elif loss.huber_schedule == "snr" and loss.huber_scale != default("loss.huber_scale"):
        yield inert(config, "loss.huber_scale", "with loss.huber_schedule snr: choose constant or exponential")


RULES = (_loss,)
