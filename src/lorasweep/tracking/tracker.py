"""What every tracker can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

# How a version can end; the words are record.json's.
STATUSES = ("complete", "interrupted", "pruned", "failed")


class Tracker(Protocol):
    """One place where a version is logged. Any method may raise; `Trackers` keeps that away from the training."""

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
            status: one of `STATUSES`.
            summary: the metrics that stand for the whole version (those of the selected epoch).
        """


def split_key(name: str) -> tuple[str, str | None]:
    """Split `samples/0 sks bear` into the key and the caption; the caption is None where there is none."""
    key, _, caption = name.partition(" ")
    return key, caption or None
