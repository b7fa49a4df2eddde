"""`cycles` cosines in a row, each from the peak to 0."""

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
    from transformers.optimization import get_cosine_with_hard_restarts_schedule_with_warmup

    return get_cosine_with_hard_restarts_schedule_with_warmup(
        optimizer, warmup, total_steps, num_cycles=config.cycles, last_epoch=last
    )


def misfits(scheduler: SchedulerConfig, warmup: int, total_steps: int, length: str) -> Iterator[Problem]:
    """Yield that there are more cycles than steps."""
    if scheduler.cycles > total_steps - warmup:
        after = " after warmup" if warmup else ""
        yield Problem(
            f"scheduler.cycles={scheduler.cycles}: expected at most {total_steps - warmup}, the steps{after} "
            f"of {length}",
            "scheduler.cycles",
            "training.max_steps",
        )


SCHEDULE = ScheduleKind(build=build, misfits=misfits, kohya={"cosine_with_restarts": KohyaSchedule(untold=("cycles",))})
