"""What every tracker can do, and what is known of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lorasweep.registry import is_dotted
from lorasweep.schema import Config, TrackerConfig
from lorasweep.schema.tracker import TRACKERS

PrintLine = Callable[[str], None]
"""Tells the user one line."""


class Tracker(Protocol):
    """One place where a version is logged. Any method may raise; `Trackers` keeps that away from the run."""

    def has(self, name: str, step: int) -> bool:
        """Whether an earlier process logged a metric, or the image of a key, of this version at an optimizer step."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics at an optimizer step. Names are `train/… val/… image/… time/…`, and `epoch` where known."""

    def images(self, images: Mapping[str, Path], step: int) -> None:
        """Log PNG files at an optimizer step.

        Args:
            images: `key caption` -> file; the key ends at the first space (`samples/0 sks bear in the snow`).
            step: the optimizer step that they show.
        """

    def weights(self, path: Path, aliases: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Log a weights file under `aliases` (`v6`, `latest`, `best`) with what describes it."""

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """Close the tracker.

        Args:
            status: how the version ended, in record.json's words: complete, interrupted, pruned or failed.
            summary: the metrics that stand for the whole version (those of the selected epoch).
        """


@dataclass(frozen=True)
class Tracked:
    """The version that a tracker is opened for.

    Attributes:
        config: its resolved config.
        folder: the version folder; it exists, and all that a tracker writes lies in it.
        version: its number.
        print_line: tells the user one line.
        resumed_step: the step that run continues from (-1: it starts again); None for a new version.
        job_type: train, trial or evaluate.
        trial: {"study", "number"} and, where known, "params" of a search; None outside of one.
    """

    config: Config
    folder: Path
    version: int
    print_line: PrintLine
    resumed_step: int | None
    job_type: str = "train"
    trial: Mapping[str, Any] | None = None


def nothing_to_mark(folder: Path, print_line: PrintLine) -> None:
    """Do nothing: the tracker knows no best version."""


@dataclass(frozen=True, kw_only=True)
class TrackerKind:
    """What is known of a tracker.

    Attributes:
        title: what messages call it.
        open: returns the tracker of a version; None where it is off after all. What it raises is told, and the
            training goes on without it.
        is_on: whether keys of its own switch it on; `tracker.others` does so for any.
        mark_best: marks a version, whose folder it is given and which has ended, as the best of its study, in the place
            of another. It does not raise.
        takes_evaluations: whether what is measured after a training is logged there too, as a run of its own.
    """

    title: str
    open: Callable[[Tracked], Tracker | None]
    is_on: Callable[[TrackerConfig], bool] = lambda config: False
    mark_best: Callable[[Path, PrintLine], None] = nothing_to_mark
    takes_evaluations: bool = False


def kinds(others: Iterable[str] = ()) -> dict[str, TrackerKind]:
    """Return what is known of every tracker, by its name.

    Args:
        others: `tracker.others` of a checked config, for the dotted names among them.
    """
    return {name: TRACKERS[name] for name in [*TRACKERS, *filter(is_dotted, others)]}


def split_key(name: str) -> tuple[str, str | None]:
    """Split `samples/0 sks bear` into the key and the caption; the caption is None where there is none."""
    key, _, caption = name.partition(" ")
    return key, caption or None
