"""The optimizer and its learning rates over time."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import default, inert
from lorasweep.config import Config, value_at


def _optimizer(config: Config) -> Iterator[str]:
    name, beta2 = config.optimizer.name, config.optimizer.beta2
    if name == "adafactor" and beta2 is not None:
        yield f"optimizer.beta2={beta2}: adafactor has none; choose it whole with optimizer=adafactor, or set null"
    for key in ("optimizer.beta1", "optimizer.beta2"):
        if name != "adafactor" and value_at(config, key) is None:
            yield f"{key}=null: {name} needs a number, such as {default(key)}"


def _scheduler(config: Config) -> Iterator[str]:
    scheduler, last = config.scheduler, config.training.max_steps
    steps, ratio = scheduler.warmup_steps, scheduler.warmup_ratio
    if steps and ratio:
        yield f"scheduler.warmup_steps={steps} and scheduler.warmup_ratio={ratio}: set one of the two to 0"
    if last is not None and steps >= last:
        yield f"scheduler.warmup_steps={steps}: expected less than training.max_steps={last}"
    if scheduler.cycles != 1 and scheduler.name != "cosine_with_restarts":
        yield inert(config, "scheduler.cycles", "without scheduler=cosine_with_restarts")


RULES = (_optimizer, _scheduler)
