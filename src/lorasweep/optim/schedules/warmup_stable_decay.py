"""The peak until `decay_ratio` of all steps are left, then down (arXiv 2404.06395); warmup begins where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorasweep.errors import Problem
from lorasweep.optim.schedules.kind import KohyaSchedule, ScheduleKind
from lorasweep.schema import SchedulerConfig
from lorasweep.text.values import written

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


def build(optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int) -> LambdaLR:
    """Return it."""
    from transformers.optimization import get_wsd_schedule

    return get_wsd_schedule(
        optimizer,
        warmup,
        num_decay_steps=min(round(config.decay_ratio * total_steps), max(total_steps - warmup, 0)),
        num_training_steps=total_steps,
        decay_type=config.decay_shape,
        min_lr_ratio=config.min_lr_ratio,
        last_epoch=last,
    )


def misfits(scheduler: SchedulerConfig, warmup: int, total_steps: int, length: str) -> Iterator[Problem]:
    """Yield that warmup and decay are more than the run."""
    given = scheduler.warmup_steps
    if given + scheduler.decay_ratio * total_steps > total_steps:
        most = (total_steps - given) / total_steps
        yield Problem(
            f"scheduler.warmup_steps={given} and scheduler.decay_ratio={written(scheduler.decay_ratio)} are more than "
            f"{length}: set scheduler.decay_ratio={int(100 * most) / 100:g} or less, or a shorter warmup",
            "scheduler.decay_ratio",
            "scheduler.warmup_steps",
        )


def refusals(scheduler: SchedulerConfig) -> Iterator[Problem]:
    """Yield that shares of warmup and decay are more than the run."""
    ratio = scheduler.warmup_ratio
    if ratio + scheduler.decay_ratio > 1:
        yield Problem(
            f"scheduler.warmup_ratio={written(ratio)} and scheduler.decay_ratio={written(scheduler.decay_ratio)} are "
            "more than the whole run: expected at most 1 together",
            "scheduler.warmup_ratio",
            "scheduler.decay_ratio",
        )


SCHEDULE = ScheduleKind(
    build=build,
    refusals=refusals,
    misfits=misfits,
    kohya={
        "warmup_stable_decay": KohyaSchedule({"decay_shape": "cosine"}, untold=("decay_ratio", "min_lr_ratio")),
    },
)
