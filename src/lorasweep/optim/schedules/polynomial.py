"""A power of what is left of the run: after warmup m + (1 - m) (1 - p)^power, p the share that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.optim.schedules.kind import KohyaSchedule, ScheduleKind
from lorasweep.schema import SchedulerConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


def build(optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int) -> LambdaLR:
    """Return it; m is `min_lr_ratio`."""
    from transformers.optimization import get_polynomial_decay_schedule_with_warmup

    # It divides by the steps after warmup; of a warmup as long as the run none are left.
    return get_polynomial_decay_schedule_with_warmup(
        optimizer,
        warmup,
        max(total_steps, warmup + 1),
        lr_end=config.min_lr_ratio * optimizer.defaults["lr"],
        power=config.power,
        last_epoch=last,
    )


SCHEDULE = ScheduleKind(build=build, kohya={"polynomial": KohyaSchedule(untold=("power",))})
