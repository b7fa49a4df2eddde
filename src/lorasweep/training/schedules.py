"""The learning rate over time."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from lorasweep.config import SchedulerConfig


def warmup_steps(config: SchedulerConfig, total_steps: int) -> int:
    """Return the steps of linear warmup: `warmup_steps`, or else `warmup_ratio` of all steps, rounded."""
    return config.warmup_steps or round(config.warmup_ratio * total_steps)


def build_schedule(config: SchedulerConfig, optimizer: Optimizer, total_steps: int, step: int = 0) -> LambdaLR:
    """Return the schedule of `optimizer`, its learning rates set for optimizer step `step`.

    The rate is a function of the step alone (each group's own rate times one factor), so a schedule built at
    step s goes on exactly as one that was stepped s times. Call `.step()` after every optimizer step.

    Args:
        optimizer: as built, with each group's peak learning rate; it must not have had a schedule before.
        total_steps: optimizer steps of the whole run; cosine and linear reach 0 there.
        step: optimizer steps already done (0, or where a run is resumed).

    Raises:
        ValueError: another `config.name`.
    """
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]  # what torch requires of an optimizer that starts in the middle
    warmup, last = warmup_steps(config, total_steps), step - 1
    match config.name:
        case "cosine":
            return get_cosine_schedule_with_warmup(optimizer, warmup, total_steps, last_epoch=last)
        case "cosine_with_restarts":
            return get_cosine_with_hard_restarts_schedule_with_warmup(
                optimizer, warmup, total_steps, num_cycles=config.cycles, last_epoch=last
            )
        case "constant":
            return get_constant_schedule_with_warmup(optimizer, warmup, last_epoch=last)
        case "linear":
            return get_linear_schedule_with_warmup(optimizer, warmup, total_steps, last_epoch=last)
    raise ValueError(f"scheduler.name is {config.name!r}, expected cosine, cosine_with_restarts, constant or linear")
