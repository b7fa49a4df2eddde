"""From version folders to what the page shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorasweep.review.comparison.groups import Comparison, Entry, compare
from lorasweep.review.page.cells import page_cells
from lorasweep.review.page.choice import STUDIES, Choice
from lorasweep.review.page.measures import comparable, evaluated, infos, own_names, page_measures, selected_evaluation
from lorasweep.review.page.model import EpochPoint, Page, PageVersion, Plot
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger, paths
from lorasweep.runs.record import Record
from lorasweep.schema import slug
from lorasweep.text.shell import shell_quoted


def collect(choice: Choice) -> Page:
    """Return the page of a choice of versions: what their folders hold at this moment."""
    versions, output_root = choice.versions(), choice.root
    groups = compare(versions)
    settings = comparable(version.record for version in versions)
    rows = [
        _version(entry, group, index, str(output_root), settings)
        for index, group in enumerate(groups)
        for entry in group.entries
    ]
    names = dict.fromkeys(name for row in rows for name in [*row.metrics, *_names(row)])
    return Page(
        title=choice.title(versions),
        versions=rows,
        groups=[group.title for group in groups],
        keys=_differing(groups),
        metrics=infos(names),
        cells=[cell for v in versions for cell in page_cells(v.record, _id(v.record), output_root)],
        plots=_plots(versions, output_root),
    )


def _version(entry: Entry, group: Comparison, index: int, output_root: str, settings: str) -> PageVersion:
    record = entry.version.record
    selected = record.selected
    base = record.metrics.base or {}
    metrics = page_measures(selected.metrics if selected is not None else {}, base)
    if (evaluation := selected_evaluation(record, settings)) is not None:
        metrics |= evaluated(evaluation)
    return PageVersion(
        id=_id(record),
        name=entry.name,
        lora=record.name,
        folder=record.folder,
        status=entry.version.status,
        group=index,
        standing=group.standing.get(record.version, ""),
        settings=_flat(record.config) | {key: entry.settings.get(key) for key in ("recipe", "preset", "data")},
        epochs=[EpochPoint(each.epoch, each.step, each.metrics, each.file) for each in record.epochs],
        selected=record.selected_epoch,
        selected_because=record.selected_because or "",
        objective=record.objective.name,
        direction=record.objective.direction,
        base=base,
        metrics=metrics,
        observations=_observations(entry, group),
        commands=_commands(record, entry.version.status, output_root),
        facts=_facts(record),
        trial=None if record.trial is None else (record.trial.study, record.trial.number),
        seconds=entry.seconds,
        started=record.started,
    )


def _id(record: Record) -> str:
    return f"{slug(record.name)}/v{record.version}"


def _names(version: PageVersion) -> list[str]:
    return own_names(name for point in version.epochs for name in point.metrics)


def _differing(groups: Sequence[Comparison]) -> list[str]:
    """Return the settings that tell versions of a group apart; across groups those in which the groups differ."""
    keys = dict.fromkeys(key for group in groups for key in group.telling)
    entries = [entry for group in groups for entry in group.entries]
    everything = dict.fromkeys(key for entry in entries for key in entry.settings)
    if len(groups) > 1:
        keys |= {key: None for key in everything if len({json.dumps(entry.settings.get(key)) for entry in entries}) > 1}
    return list(keys)


def _observations(entry: Entry, group: Comparison) -> str:
    """Return a version's notes; without any what it was given that not all were, and how it ended."""
    record = entry.version.record
    try:
        notes = paths.notes(record.folder).read_text(errors="replace").strip()
    except OSError:
        notes = ""
    return notes or "; ".join(filter(None, [" ".join(_given(record, group)), record.reason or ""]))


def _given(record: Record, group: Comparison) -> list[str]:
    """Return what a version's command line set, without what those of all other versions of its group set alike."""
    others = [each.version.record for each in group.entries if each.version.record is not record]
    shared = set.intersection(*(set(other.overrides) for other in others)) if others else set()
    return [text for text in commands.wishes(record.overrides) if text not in shared]


def _commands(record: Record, status: str, output_root: str) -> dict[str, str]:
    found = {}
    if status == "complete":
        found["train it for longer"] = ledger.longer(record, output_root)
    elif status != "running":
        found["resume it"] = commands.resume(record.name, record.recipe, record.version, output_root)
    found["repeat it"] = commands.train(commands.changed(record.overrides, []))
    weights = paths.selected(record.folder, record.stem)
    if weights.exists():
        found["use it"] = f"cp {shell_quoted(weights)} ComfyUI/models/loras/"
    return found


def _facts(record: Record) -> dict[str, str]:
    data = record.dataset
    facts = {
        "folder": str(record.folder),
        "base": record.base.path,
        "images": f"{data.path} ({data.images} trained on, {data.heldout or 0} held out)" if data.path else "",
        "started": record.started,
        "device": record.environment.get("device") or "",
    }
    return {label: text for label, text in facts.items() if text}


def _plots(versions: Sequence[ledger.RecordedVersion], output_root: Path) -> list[Plot]:
    studies = dict.fromkeys(version.record.study for version in versions if version.record.study)
    folders = {study: output_root / STUDIES / study / "plots" for study in studies}
    return [Plot(study, file.stem, file) for study, folder in folders.items() for file in sorted(folder.glob("*.png"))]


def _flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return a nested config by dotted key."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{before}{name}"
        found |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return found
