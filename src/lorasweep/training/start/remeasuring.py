"""What was measured with other settings than those of now: it is kept, but no longer competes with what is new."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lorasweep.runs import paths
from lorasweep.tracking import jsonl

EARLIER = "earlier/"
"""Begins the name of a metric that was measured with other settings, such as `earlier/val/loss_ratio`."""

PICTURES = "samples/"
"""Stands for the sample images among what settings decide the measuring of."""


def set_aside(values: Mapping[str, Any], measures: Collection[str]) -> dict[str, Any]:
    """Return metrics in which those that are measured in another way now have another name.

    Args:
        values: metrics by name.
        measures: beginnings of the names of what is measured in another way.
    """
    changed = tuple(measures)
    return {(EARLIER + name if name.startswith(changed) else name): value for name, value in values.items()}


def set_aside_rows(folder: Path, measures: Collection[str]) -> None:
    """Do as much in the rows of a version's metrics.jsonl, where it exists."""
    jsonl.rewrite(paths.metrics(folder), lambda row: set_aside(row, measures))


def set_aside_pictures(folder: Path, step: int) -> None:
    """Move the sample images of a version into a folder below theirs, where they are no longer looked for.

    Args:
        folder: the version folder.
        step: up to which they were drawn; it names the new folder.
    """
    aside = paths.earlier_samples(folder, step)
    for picture in paths.pictures(folder):
        aside.mkdir(exist_ok=True)
        os.replace(picture, aside / picture.name)
