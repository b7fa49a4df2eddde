"""What is known of a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lorasweep.errors import Problem
from lorasweep.schema import SchedulerConfig
from lorasweep.schema.optimizer import SCHEDULES

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


class Build(Protocol):
    """Builds a schedule."""

    def __call__(
        self, optimizer: Optimizer, config: SchedulerConfig, *, warmup: int, total_steps: int, last: int
    ) -> LambdaLR:
        """Return the schedule of an optimizer whose groups have their peak rates under `initial_lr`.

        Args:
            optimizer: whose rates it sets.
            config: the shape.
            warmup: optimizer steps of linear warmup.
            total_steps: optimizer steps of the whole run.
            last: the last optimizer step that was done, counted from 0; -1 at the start.
        """


@dataclass(frozen=True)
class KohyaSchedule:
    """A schedule as kohya's sd-scripts name it in a file.

    Attributes:
        settings: keys of `scheduler` that it stands for, besides the name.
        untold: keys of `scheduler` of which the file says nothing.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    untold: tuple[str, ...] = ()


def no_refusals(scheduler: SchedulerConfig) -> Iterator[Problem]:
    """Yield nothing: the schedule takes all that the schema allows."""
    yield from ()


def no_misfits(scheduler: SchedulerConfig, warmup: int, total_steps: int, length: str) -> Iterator[Problem]:
    """Yield nothing: the schedule fits into any run that is longer than its warmup."""
    yield from ()


@dataclass(frozen=True, kw_only=True)
class ScheduleKind:
    """What is known of a schedule: a factor on every group's rate that is a function of the step alone.

    Attributes:
        build: builds it.
        refusals: what of its settings cannot be meant, whatever the length of the run.
        misfits: (settings, steps of warmup, steps of the run, how these came about) -> what cannot be meant in such a
            run; the warmup is shorter than the run.
        least_warmup: steps that a share of the run comes to at least.
        may_all_warm_up: whether a warmup may take the whole run.
        kohya: its names in sd-scripts' files.
        kohya_name: the one of them that a config's schedule has.
    """

    build: Build
    refusals: Callable[[SchedulerConfig], Iterator[Problem]] = no_refusals
    misfits: Callable[[SchedulerConfig, int, int, str], Iterator[Problem]] = no_misfits
    least_warmup: int = 0
    may_all_warm_up: bool = False
    kohya: Mapping[str, KohyaSchedule] = field(default_factory=dict)
    kohya_name: Callable[[SchedulerConfig], str] = lambda scheduler: scheduler.name


def schedule_kind(name: str) -> ScheduleKind:
    """Return what is known of the schedule of this name.

    Args:
        name: `scheduler.name` of a checked config.

    Raises:
        UserError: there is no such schedule.
    """
    kind: ScheduleKind = SCHEDULES[name]
    return kind
