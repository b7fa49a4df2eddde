"""The learning rate over time."""

from __future__ import annotations

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lorasweep.optim.schedules.kind import schedule_kind
from lorasweep.optim.warmup import warmup_steps
from lorasweep.schema import SchedulerConfig


def factor(config: SchedulerConfig, total_steps: int, step: int) -> float:
    """Return what the learning rates of optimizer step `step`, counted from 0, are multiplied by.

    Args:
        config: the shape.
        total_steps: optimizer steps of the whole run.
        step: at most `total_steps`.
    """
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    build_schedule(config, optimizer, total_steps, step)
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def build_schedule(config: SchedulerConfig, optimizer: Optimizer, total_steps: int, step: int = 0) -> LambdaLR:
    """Return the schedule of `optimizer`, its learning rates set for optimizer step `step`.

    The rate is a function of the step alone (each group's own rate times one factor), so a schedule built at
    step s goes on exactly as one that was stepped s times. Call `.step()` after every optimizer step.

    Args:
        config: the shape; `optim.schedules` has a file for each.
        optimizer: as built, with each group's peak learning rate, or with an earlier schedule of this function.
        total_steps: optimizer steps of the whole run, where every schedule that falls has ended.
        step: optimizer steps already done (0, or where a run is resumed).

    Raises:
        UserError: there is no schedule `config.name`.
    """
    for group in optimizer.param_groups:  # the peak, which torch wants under this name to start in the middle
        group["lr"] = group.setdefault("initial_lr", group["lr"])
    warmup = warmup_steps(config, total_steps)
    return schedule_kind(config.name).build(optimizer, config, warmup=warmup, total_steps=total_steps, last=step - 1)
