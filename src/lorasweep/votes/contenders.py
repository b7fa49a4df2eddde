"""Who is voted on: versions, each with its pictures, and the base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorasweep.pictures.prompts import Prompt, prompts_of
from lorasweep.runs import paths
from lorasweep.runs.ledger import RecordedVersion
from lorasweep.runs.record import Record
from lorasweep.schema import schema_keys, slug

SETTINGS = ("sampling.steps", "sampling.guidance", "sampling.negative_prompt", "dataset.resolution")
"""What must be the same of two pictures beside prompt and seed: else the pair would compare these."""


@dataclass(frozen=True)
class Contender:
    """One version at one epoch, or a base.

    Attributes:
        key: what votes call it: `fuzzybear/v6@3`, or `base 1a2b3c4d`.
        label: what people read: `FuzzyBear v6`.
        pictures: cell -> file. A cell is a prompt and a seed with the settings that it was drawn with, as text.
        folder: of the version; None of a base.
        metrics: what was measured of it.
    """

    key: str
    label: str
    pictures: Mapping[str, Path]
    folder: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def contenders(versions: Iterable[RecordedVersion]) -> list[Contender]:
    """Return the versions that have pictures, each at its selected epoch, and their bases.

    Where the selected epoch was not sampled, the last one that was stands in for it, as in the sheets of samples.

    Args:
        versions: in the order in which they are to be listed.
    """
    found: list[Contender] = []
    bases: dict[str, Contender] = {}
    for version in versions:
        record = version.record
        prompts = _prompts(record)
        epochs = paths.sampled_epochs(record.folder, len(prompts)) if prompts else []
        trained = [epoch for epoch in epochs if epoch]
        if version.status in ("running", "failed") or not trained:
            continue
        epoch_of_pictures = record.selected_epoch if record.selected_epoch in trained else trained[-1]
        metrics = next((entry.metrics for entry in record.epochs if entry.epoch == epoch_of_pictures), {})
        key = f"{slug(record.name)}/v{record.version}@{epoch_of_pictures}"
        label = f"{record.name} v{record.version}"
        found.append(Contender(key, label, _pictures(record, prompts, epoch_of_pictures), record.folder, metrics))
        if 0 in epochs:
            base = f"base {record.base.sha256[:8]}".strip()
            before = bases.get(base)
            pictures = _pictures(record, prompts, 0) | dict(before.pictures if before else {})
            bases[base] = Contender(base, "the base", pictures, metrics=record.metrics.base or {})
    return [*bases.values(), *found]


def text_of(cell: str) -> str:
    """Return the prompt of a cell."""
    return cell.split("\x1f")[0]


def references(versions: Sequence[RecordedVersion]) -> list[Path]:
    """Return the training images that the first version keeps beside its samples: what it was to learn."""
    return next((found for version in versions if (found := paths.training_images(version.folder))), [])


def _prompts(record: Record) -> list[Prompt]:
    texts, seeds = _setting(record, "sampling.prompts"), _setting(record, "sampling.seeds")
    return prompts_of(texts, seeds, _setting(record, "dataset.trigger"))


def _pictures(record: Record, prompts: Sequence[Prompt], epoch: int) -> dict[str, Path]:
    settings = [str(_setting(record, key)) for key in SETTINGS]
    return {
        "\x1f".join([prompt.text, str(prompt.seed), *settings]): paths.sample(record.folder, epoch, index)
        for index, prompt in enumerate(prompts)
    }


def _setting(record: Record, key: str) -> Any:
    return record.setting(schema_keys()[key])
