"""The learning rate over time."""

from __future__ import annotations

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_wsd_schedule,
)

from lorasweep.schema import SchedulerConfig
from lorasweep.schema.schedules import warmup_steps


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

    The factor after warmup, with p the share of the remaining steps that is done and m = `min_lr_ratio`: cosine
    m + (1 - m) (1 + cos(pi p)) / 2; polynomial m + (1 - m) (1 - p)^power; linear 1 - p; inverse_sqrt
    sqrt(warmup / step); cosine_with_restarts `cycles` cosines in a row; warmup_stable_decay 1 until `decay_ratio` of
    all steps are left, then `decay_shape` down to m (arXiv 2404.06395; its warmup begins at m).

    Args:
        optimizer: as built, with each group's peak learning rate, or with an earlier schedule of this function.
        total_steps: optimizer steps of the whole run, where every schedule that falls has ended.
        step: optimizer steps already done (0, or where a run is resumed).

    Raises:
        ValueError: another `config.name`.
    """
    for group in optimizer.param_groups:  # the peak, which torch wants under this name to start in the middle
        group["lr"] = group.setdefault("initial_lr", group["lr"])
    warmup, last, least = warmup_steps(config, total_steps), step - 1, config.min_lr_ratio
    match config.name:
        case "cosine":
            return get_cosine_with_min_lr_schedule_with_warmup(
                optimizer, warmup, total_steps, last_epoch=last, min_lr_rate=least
            )
        case "cosine_with_restarts":
            return get_cosine_with_hard_restarts_schedule_with_warmup(
                optimizer, warmup, total_steps, num_cycles=config.cycles, last_epoch=last
            )
        case "constant":
            return get_constant_schedule_with_warmup(optimizer, warmup, last_epoch=last)
        case "inverse_sqrt":
            return get_inverse_sqrt_schedule(optimizer, warmup, last_epoch=last)
        case "linear":
            return get_linear_schedule_with_warmup(optimizer, warmup, total_steps, last_epoch=last)
        case "polynomial":
            # It divides by the steps after warmup; of a warmup as long as the run none are left.
            return get_polynomial_decay_schedule_with_warmup(
                optimizer,
                warmup,
                max(total_steps, warmup + 1),
                lr_end=least * optimizer.defaults["lr"],
                power=config.power,
                last_epoch=last,
            )
        case "warmup_stable_decay":
            return get_wsd_schedule(
                optimizer,
                warmup,
                num_decay_steps=min(round(config.decay_ratio * total_steps), max(total_steps - warmup, 0)),
                num_training_steps=total_steps,
                decay_type=config.decay_shape,
                min_lr_ratio=least,
                last_epoch=last,
            )
    raise ValueError(f"scheduler.name is {config.name!r}, which has no schedule")
