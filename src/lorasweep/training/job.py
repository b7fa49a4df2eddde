"""What a version is asked to be, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lorasweep.data.survey import Survey
from lorasweep.schema import Config

Report = Callable[[int, dict[str, float]], str | None]
"""Called after each evaluation with the optimizer step and all metrics; returns why to stop, or None to go on."""


@dataclass(frozen=True)
class Job:
    """What one version of a cohort is asked to be.

    Attributes:
        config: the checked config; `config.resume` continues a version instead of starting one.
        overrides: the command line's, for the record.
        choices: config group -> choice, for the record.
        trial: {"study", "number"} of a search, and "params" where they are known; None outside of one.
        report: asked after each evaluation whether to stop.
        start_from: version folder whose last saved state the new version begins with; it begins at step 0 where that
            is impossible, and says so. Without effect when `config.resume` continues a version.
        seen: the survey of its data, told already; None: it is still to be made.
        began: when the program was started for it (`time.monotonic`); None: it starts now.
    """

    config: Config
    overrides: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    trial: dict[str, object] | None = None
    report: Report | None = None
    start_from: Path | None = None
    seen: Survey | None = None
    began: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a version ended.

    Attributes:
        folder: its version folder.
        status: the record's.
        value: the objective at the selected epoch, if measured.
        error: why it failed, or None.
        reason: the record's, in words: why it was pruned, interrupted or failed.
        number: N of vN.
        epoch: the selected epoch, or None before the first.
        steps: optimizer steps taken.
        metrics: everything measured at the selected epoch, by name; values may be NaN.
    """

    folder: Path
    status: str
    value: float | None
    error: Exception | None
    reason: str | None
    number: int
    epoch: int | None
    steps: int
    metrics: dict[str, float]
