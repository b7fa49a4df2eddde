"""Whether a schedule fits into a run of so many steps."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.errors import Problem
from lorasweep.schema.optimizer import SchedulerConfig
from lorasweep.text import written


def warmup_steps(scheduler: SchedulerConfig, total_steps: int) -> int:
    """Return the steps of linear warmup: `warmup_steps`, or else `warmup_ratio` of all steps, rounded.

    inverse_sqrt falls off on the scale of its warmup: a share of a few steps is at least one of them.

    Args:
        scheduler: whose.
        total_steps: optimizer steps of the whole run.
    """
    least = 1 if scheduler.name == "inverse_sqrt" and scheduler.warmup_ratio else 0
    return scheduler.warmup_steps or max(least, round(scheduler.warmup_ratio * total_steps))


def misfits(scheduler: SchedulerConfig, total_steps: int, told: str) -> Iterator[Problem]:
    """Yield what of a schedule cannot be meant in a run of so many steps.

    Args:
        scheduler: the schedule, each value within its limits.
        total_steps: optimizer steps of the whole run.
        told: how they came about, such as `training.max_steps=100`.
    """
    given, ratio = scheduler.warmup_steps, scheduler.warmup_ratio
    warmup = warmup_steps(scheduler, total_steps)
    if given >= total_steps:
        less = f"expected less than {told}, such as {total_steps // 10}"
        yield Problem(f"scheduler.warmup_steps={given}: {less}", "scheduler.warmup_steps", "training.max_steps")
    elif warmup >= total_steps and scheduler.name != "inverse_sqrt":
        yield Problem(
            f"scheduler.warmup_ratio={written(ratio)}: of {told} that is all; set 0, or train longer",
            "scheduler.warmup_ratio",
            "training.max_steps",
        )
    elif scheduler.name == "warmup_stable_decay" and given + scheduler.decay_ratio * total_steps > total_steps:
        most = (total_steps - given) / total_steps
        yield Problem(
            f"scheduler.warmup_steps={given} and scheduler.decay_ratio={written(scheduler.decay_ratio)} are more than "
            f"{told}: set scheduler.decay_ratio={int(100 * most) / 100:g} or less, or a shorter warmup",
            "scheduler.decay_ratio",
            "scheduler.warmup_steps",
        )
    elif scheduler.name == "cosine_with_restarts" and scheduler.cycles > total_steps - warmup:
        after = " after warmup" if warmup else ""
        yield Problem(
            f"scheduler.cycles={scheduler.cycles}: expected at most {total_steps - warmup}, the steps{after} of {told}",
            "scheduler.cycles",
            "training.max_steps",
        )
