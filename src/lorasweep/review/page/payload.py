"""What the page's script reads: the page as plain data, in columns where there is much of it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorasweep.review.page.measures import own_names
from lorasweep.review.page.model import Page, PageCell, PageMeasure, PageVersion
from lorasweep.text.encoding import all_readable
from lorasweep.text.names import short_names

Address = Callable[[Path], str]
"""Returns what the page calls a file, relative to itself; "" for one that it must not point to."""

DIGITS = 6  # significant ones of a measure; more is noise and bytes


def payload(page: Page, address: Address, plots: Sequence[str]) -> dict[str, Any]:
    """Return the page as JSON has it; numbers are finite or null.

    Args:
        page: it.
        address: of pictures.
        plots: addresses of the studies' plots, in their order.
    """
    index = {version.id: number for number, version in enumerate(page.versions)}
    prompts = list(dict.fromkeys(cell.prompt for cell in page.cells))
    plain = {
        "title": page.title,
        "groups": list(page.groups),
        "metrics": [asdict(metric) for metric in page.metrics],
        "keys": [{"key": key, "name": name} for key, name in short_names(page.keys).items()],
        "config": _config(page.versions),
        "versions": [_version(version) for version in page.versions],
        "prompts": prompts,
        "cells": _cells(page.cells, index, prompts, address),
        "plots": [
            {"study": plot.study, "title": plot.title, "address": found}
            for plot, found in zip(page.plots, plots, strict=True)
        ],
    }
    readable: dict[str, Any] = all_readable(_finite(plain))
    return readable


def relative_to(home: Path) -> Address:
    """Return what calls files by their way from a folder.

    Args:
        home: the folder that the page lies in.
    """
    return lambda file: Path(os.path.relpath(file.resolve(), home.resolve())).as_posix()


def _config(versions: Sequence[PageVersion]) -> dict[str, Any]:
    """Return the settings that all versions share, and of the others a value for each version."""
    keys = dict.fromkeys(key for version in versions for key in version.settings)
    columns = {key: [version.settings.get(key) for version in versions] for key in keys}
    same = {key for key, values in columns.items() if len({json.dumps(value, default=str) for value in values}) == 1}
    return {
        "common": {key: columns[key][0] for key in columns if key in same},
        "differing": {key: values for key, values in columns.items() if key not in same},
    }


def _version(version: PageVersion) -> dict[str, Any]:
    names = own_names(dict.fromkeys(name for point in version.epochs for name in point.metrics))
    return {
        "id": version.id,
        "name": version.name,
        "lora": version.lora,
        "status": version.status,
        "group": version.group,
        "standing": version.standing,
        "trial": list(version.trial) if version.trial else None,
        "selected": version.selected,
        "because": version.selected_because,
        "epochs": [point.epoch for point in version.epochs],
        "steps": [point.step for point in version.epochs],
        "files": [point.file for point in version.epochs],
        "curves": {name: [point.metrics.get(name) for point in version.epochs] for name in names},
        "objective": version.objective,
        "direction": version.direction,
        "base": dict(version.base),
        "metrics": {name: _measured(found) for name, found in version.metrics.items()},
        "observations": version.observations,
        "diagnosis": asdict(version.diagnosis) if version.diagnosis else None,
        "commands": list(version.commands.items()),
        "facts": list(version.facts.items()),
        "seconds": version.seconds,
        "started": version.started,
    }


def _measured(found: PageMeasure) -> list[float | None]:
    return [found.value, found.low, found.high, found.delta, found.delta_low, found.delta_high]


def _cells(
    cells: Sequence[PageCell], index: Mapping[str, int], prompts: Sequence[str], address: Address
) -> dict[str, Any]:
    """Return the cells in columns; scores and what few cells know by the number of the cell."""
    places = {prompt: number for number, prompt in enumerate(prompts)}
    scores = dict.fromkeys(name for cell in cells for name in cell.scores)
    return {
        "version": [index[cell.version] for cell in cells],
        "epoch": [cell.epoch for cell in cells],
        "prompt": [places[cell.prompt] for cell in cells],
        "seed": [cell.seed for cell in cells],
        "strength": [cell.strength for cell in cells],
        "file": [address(cell.file) for cell in cells],
        "weights": {number: cell.weights[:12] for number, cell in enumerate(cells) if cell.weights},
        "changed": {number: cell.changed for number, cell in enumerate(cells) if cell.changed is not None},
        "scores": {
            name: {number: cell.scores[name] for number, cell in enumerate(cells) if name in cell.scores}
            for name in scores
        },
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
