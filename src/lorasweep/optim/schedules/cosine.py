"""A cosine from the peak to a share of it: after warmup m + (1 - m) (1 + cos(pi p)) / 2, p the share of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.optim.schedules.kind import KohyaSchedule, ScheduleKind
from lorasweep.schema import SchedulerConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


def build(optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int) -> LambdaLR:
    """Return it; m is `min_lr_ratio`."""
    from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

    return get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, warmup, total_steps, last_epoch=last, min_lr_rate=config.min_lr_ratio
    )


SCHEDULE = ScheduleKind(
    build=build,
    kohya={"cosine": KohyaSchedule(), "cosine_with_min_lr": KohyaSchedule(untold=("min_lr_ratio",))},
    kohya_name=lambda scheduler: "cosine_with_min_lr" if scheduler.min_lr_ratio else "cosine",
)
