"""The peak until the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.optim.schedules.kind import KohyaSchedule, ScheduleKind
from lorasweep.schema import SchedulerConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


def build(optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int) -> LambdaLR:
    """Return it."""
    from transformers.optimization import get_constant_schedule_with_warmup

    return get_constant_schedule_with_warmup(optimizer, warmup, last_epoch=last)


def kohya_name(scheduler: SchedulerConfig) -> str:
    """Return sd-scripts' name, which is another one with warmup."""
    return "constant_with_warmup" if scheduler.warmup_steps or scheduler.warmup_ratio else "constant"


SCHEDULE = ScheduleKind(
    build=build,
    kohya={"constant": KohyaSchedule(), "constant_with_warmup": KohyaSchedule()},
    kohya_name=kohya_name,
)
