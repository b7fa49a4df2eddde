"""The samples of a version as a table: a row for each prompt, seed and epoch, with what was measured of that epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep.pictures.prompts import prompts_of
from lorasweep.runs import paths
from lorasweep.runs.record import Record
from lorasweep.schema import Config
from lorasweep.schema.measures import measures_of

LARGEST = 200
"""Rows of a table, at most: it holds every picture once more. Of a longer one stay the base, the selected and the last
epoch."""


@dataclass(frozen=True)
class SampleTable:
    """The samples of a version.

    Attributes:
        columns: names of the columns: prompt, seed, epoch, selected, image, then one for each metric.
        rows: their values; the image is the path of a PNG, a metric that was not measured None.
    """

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def sample_table(config: Config, folder: Path) -> SampleTable | None:
    """Return the table of a version as its folder has it; None where nothing was sampled.

    Args:
        config: of the version.
        folder: of the version.
    """
    if not paths.record(folder).exists():
        return None
    record = Record.read(folder)
    prompts = prompts_of(config.sampling.prompts, config.sampling.seeds, config.dataset.trigger)
    epochs = paths.sampled_epochs(folder, len(prompts)) if prompts else []
    if not epochs:
        return None
    measured = {entry.epoch: entry.metrics for entry in record.epochs} | {0: record.metrics.base or {}}
    names = list(measures_of({name for metrics in measured.values() for name in metrics}))
    rows: list[tuple[object, ...]] = [
        (
            *(prompt.text, prompt.seed, epoch, epoch == record.selected_epoch, paths.sample(folder, epoch, index)),
            *(measured.get(epoch, {}).get(name) for name in names),
        )
        for epoch in _shortened(epochs, len(prompts), record.selected_epoch)
        for index, prompt in enumerate(prompts)
    ]
    return SampleTable(("prompt", "seed", "epoch", "selected", "image", *names), rows)


def _shortened(epochs: Sequence[int], pictures: int, selected: int | None) -> list[int]:
    if len(epochs) * pictures <= LARGEST:
        return list(epochs)
    return [epoch for epoch in epochs if epoch in (0, selected, epochs[-1])]
