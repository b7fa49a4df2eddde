"""sqrt(warmup / step), which falls off on the scale of its warmup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorasweep.errors import Problem
from lorasweep.optim.schedules.kind import KohyaSchedule, ScheduleKind
from lorasweep.schema import SchedulerConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


def build(optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int) -> LambdaLR:
    """Return it."""
    from transformers.optimization import get_inverse_sqrt_schedule

    return get_inverse_sqrt_schedule(optimizer, warmup, last_epoch=last)


def refusals(scheduler: SchedulerConfig) -> Iterator[Problem]:
    """Yield that there is no warmup, which is the scale of its fall."""
    if not (scheduler.warmup_steps or scheduler.warmup_ratio):
        yield Problem(
            "scheduler.warmup_ratio=0: inverse_sqrt falls off on the scale of its warmup; set it (0.05, say), or "
            "scheduler.warmup_steps",
            "scheduler.warmup_ratio",
            "scheduler.warmup_steps",
            "scheduler.name",
        )


SCHEDULE = ScheduleKind(
    build=build, refusals=refusals, least_warmup=1, may_all_warm_up=True, kohya={"inverse_sqrt": KohyaSchedule()}
)
