"""Versions side by side in one picture: the same prompts and seeds, a column each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.pictures.grid import Column, write_grid
from lorasweep.pictures.prompts import Prompt, labels_of, prompts_of
from lorasweep.review.comparison.groups import Comparison, Entry, order
from lorasweep.runs import paths
from lorasweep.schema import schema_keys
from lorasweep.schema.goals import measure_of
from lorasweep.text.names import short_names
from lorasweep.text.values import number

LIMIT = 10  # versions side by side
SETTINGS = 3  # of those that differ, below each version's head
TITLE = "The versions cannot be drawn side by side"


def write_picture(comparisons: Sequence[Comparison], path: Path, *, sort: str = "number") -> list[str]:
    """Draw the base and each version's samples at its selected epoch, and write one PNG, atomically.

    Args:
        comparisons: what to draw; one group.
        path: the PNG to write.
        sort: the order of the columns, as `comparison.order` takes it.

    Returns:
        Which versions were left out, and why.

    Raises:
        UserError: the versions are of several groups, or fewer than two were sampled alike.
        OSError: `path` cannot be written.
    """
    if len(comparisons) != 1:
        titles = "; ".join(f"{one.title}: {', '.join(entry.name for entry in one.entries)}" for one in comparisons)
        raise UserError(f"they are of {len(comparisons)} kinds: {titles}. Name those of one kind, as NAME vN vN", TITLE)
    comparison = comparisons[0]
    alike, left_out = _sampled_alike(comparison)
    if len(alike) < 2:
        raise UserError([*left_out, "two versions or more with the same prompts and seeds are needed"], TITLE)
    best = [entry for entry in order(comparison, "value") if entry in alike][:LIMIT]
    if len(alike) > LIMIT:
        names = ", ".join(entry.name for entry in alike if entry not in best)
        left_out.append(f"{names}: the {LIMIT} best are drawn; name those that you want as NAME vN vN")
    chosen = [entry for entry in order(comparison, sort) if entry in best]
    prompts, first = _prompts(chosen[0]), chosen[0].version.folder
    base = Column("base", [paths.sample(first, 0, index) for index in range(len(prompts))])
    trained = paths.training_images(first)[: len(prompts)]
    training = [Column("training images", trained, apart=True)] if trained else []
    columns = [*training, base, *(_column(comparison, entry, len(prompts)) for entry in chosen)]
    measure = measure_of(comparison.objective)
    notes = measure.label if measure is not None else comparison.objective
    write_grid(columns, labels_of(prompts), path, title=comparison.title, notes=notes)
    return left_out


def _sampled_alike(comparison: Comparison) -> tuple[list[Entry], list[str]]:
    """Return the versions that were sampled as the most of them were, and why the others are left out."""
    left_out = [f"{entry.name}: it has no samples" for entry in comparison.entries if _epoch(entry) is None]
    sampled = [entry for entry in comparison.entries if _epoch(entry) is not None]
    ways = [_way(entry) for entry in sampled]
    usual = max(ways, key=ways.count, default=None)
    left_out += [
        f"{entry.name}: it was sampled with other prompts, seeds or sampler settings"
        for entry, way in zip(sampled, ways, strict=True)
        if way != usual
    ]
    return [entry for entry, way in zip(sampled, ways, strict=True) if way == usual], left_out


def _way(entry: Entry) -> list[Any]:
    return [entry.setting(key.name) for key in schema_keys().values() if "samples/" in key.measures]


def _prompts(entry: Entry) -> list[Prompt]:
    return prompts_of(
        entry.setting("sampling.prompts"), entry.setting("sampling.seeds"), entry.setting("dataset.trigger") or ""
    )


def _epoch(entry: Entry) -> int | None:
    """Return the selected epoch, or the last that was sampled where that was not; None without samples."""
    epochs = [epoch for epoch in paths.sampled_epochs(entry.version.folder, len(_prompts(entry))) if epoch]
    selected = entry.version.record.selected_epoch
    return selected if selected in epochs else epochs[-1] if epochs else None


def _column(comparison: Comparison, entry: Entry, rows: int) -> Column:
    epoch = _epoch(entry) or 0
    names = short_names(comparison.differing)
    standing = comparison.standing.get(entry.version.number, "")
    notes = ["" if entry.value is None else f"{entry.value:.3f}{', as good' if standing == 'same' else ''}"]
    notes += [f"{names[key]} {number(entry.settings.get(key))}" for key in comparison.telling[:SETTINGS]]
    return Column(
        head=f"{entry.name} epoch {epoch}",
        pictures=[paths.sample(entry.version.folder, epoch, index) for index in range(rows)],
        notes=notes,
        mark="best" if standing == "best" else "",
    )
