"""A straight line from the peak to 0: after warmup 1 - p, p the share of the remaining steps that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.optim.schedules.kind import KohyaSchedule, ScheduleKind
from lorasweep.schema import SchedulerConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


def build(optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int) -> LambdaLR:
    """Return it."""
    from transformers.optimization import get_linear_schedule_with_warmup

    return get_linear_schedule_with_warmup(optimizer, warmup, total_steps, last_epoch=last)


SCHEDULE = ScheduleKind(build=build, kohya={"linear": KohyaSchedule()})
