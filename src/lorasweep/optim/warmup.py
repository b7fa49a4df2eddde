"""The steps of warmup, and whether a schedule fits into a run of so many steps."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.errors import Problem
from lorasweep.optim.schedules.kind import schedule_kind
from lorasweep.schema import SchedulerConfig
from lorasweep.text.values import written


def warmup_steps(scheduler: SchedulerConfig, total_steps: int) -> int:
    """Return the steps of linear warmup: `warmup_steps`, or else `warmup_ratio` of all steps, rounded.

    Args:
        scheduler: whose.
        total_steps: optimizer steps of the whole run.
    """
    least = schedule_kind(scheduler.name).least_warmup if scheduler.warmup_ratio else 0
    return scheduler.warmup_steps or max(least, round(scheduler.warmup_ratio * total_steps))


def misfits(scheduler: SchedulerConfig, total_steps: int, length: str) -> Iterator[Problem]:
    """Yield what of a schedule cannot be meant in a run of so many steps.

    Args:
        scheduler: the schedule, each value within its limits.
        total_steps: optimizer steps of the whole run.
        length: how they came about, such as `training.max_steps=100`.
    """
    kind, given, ratio = schedule_kind(scheduler.name), scheduler.warmup_steps, scheduler.warmup_ratio
    warmup = warmup_steps(scheduler, total_steps)
    if given >= total_steps:
        less = f"expected less than {length}, such as {total_steps // 10}"
        yield Problem(f"scheduler.warmup_steps={given}: {less}", "scheduler.warmup_steps", "training.max_steps")
    elif warmup >= total_steps and not kind.may_all_warm_up:
        yield Problem(
            f"scheduler.warmup_ratio={written(ratio)}: of {length} that is all; set 0, or train longer",
            "scheduler.warmup_ratio",
            "training.max_steps",
        )
    else:
        yield from kind.misfits(scheduler, warmup, total_steps, length)
