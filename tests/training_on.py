"""Trainings on a base that is loaded already, as tests share one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorasweep.families.base import Base
from lorasweep.families.opened import OpenedBase
from lorasweep.schema import Config
from lorasweep.training import Job, Outcome, cohort


class Given(OpenedBase):
    """A base whatever config asks for one.

    Args:
        base: loaded.
    """

    def __init__(self, base: Base) -> None:
        self._given = base

    def of(self, config: Config) -> Base:
        """Return it."""
        return self._given


def run(config: Config, *, base: Base | None = None, **asked: Any) -> float | None:
    """Train one version; return the objective's value.

    Args:
        config: checked.
        base: left as it was; None loads the config's.
        asked: the other attributes of its `Job`.
    """
    return cohort.run(Job(config, **asked), Given(base) if base else OpenedBase())


def run_cohort(jobs: Sequence[Job], base: Base) -> list[Outcome]:
    """Train several versions on one base; the arguments are those of `lorasweep.training.run_cohort` and of `run`."""
    return cohort.run_cohort(jobs, Given(base))
