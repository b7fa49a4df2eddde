"""Versions that nobody trained: records, and pictures of one colour that says what they are of."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from PIL import Image

from lorasweep import files
from lorasweep.runs import paths
from lorasweep.schema import Config, slug

PROMPTS = ("{trigger}, red scarf, garden", "a woman, portrait")
SEEDS = (0, 7)
TRIGGER = "fuzzy_bear"


def colour(version: int, epoch: int, index: int) -> tuple[int, int, int]:
    """Return what a sample is painted with."""
    return (0 if epoch == 0 else 10 + 12 * version % 230, 20 + 30 * epoch % 230, 30 + 50 * index)


def write_version(
    root: Path,
    number: int,
    *,
    name: str = "FuzzyBear",
    epochs: int = 3,
    settings: dict[str, Any] | None = None,
    prompts: Sequence[str] = PROMPTS,
    size: int = 16,
    **more: Any,
) -> Path:
    """Write a version that trained for some epochs and return its folder.

    Args:
        root: folder of all versions.
        number: N of vN. The higher, the better its objective, up to 20.
        name: of its LoRA.
        epochs: how many are over.
        settings: of its config, by dotted key.
        prompts: of its samples.
        size: of its pictures, in pixels.
        **more: further fields of its record.
    """
    folder = root / slug(name) / f"v{number}"
    config = copy.deepcopy(_config())
    for key, value in ({"sampling.prompts": list(prompts), "name": name} | (settings or {})).items():
        *groups, last = key.split(".")
        group = config
        for each in groups:
            group = group[each]
        group[last] = value
    measured = [_metrics(number, epoch, epochs) for epoch in range(1, epochs + 1)]
    best = measured[-1] if measured else {}
    record = {
        "name": name,
        "version": number,
        "recipe": "fuzzybear",
        "status": "complete",
        "config": config,
        "overrides": [f"{key}={value}" for key, value in (settings or {}).items()],
        "objective": {"name": "val/loss_ratio", "value": best.get("val/loss_ratio"), "direction": "minimize"},
        "metrics": {"base": {"val/loss_ratio": 1.0, "image/fidelity": 0.4, "image/adherence": 0.5}, "selected": best},
        "selected_epoch": epochs or None,
        "epochs": [
            {"epoch": epoch, "step": 100 * epoch, "file": None, "metrics": each}
            for epoch, each in enumerate(measured, 1)
        ],
        "base": {"path": "toy", "sha256": "b1"},
        "dataset": {"path": "theme:fuzzybear", "images": 8, "heldout": 8, "sha256": "d1", "heldout_sha256": "h1"},
        "seconds": {"total": 60.0 + number},
        "started": "2026-11-25T03:16:00+00:00",
    } | more
    files.write_json(paths.record(folder), record)
    for epoch in range(epochs + 1):
        write_samples(folder, number, epoch, len(prompts) * len(SEEDS), size)
    return folder


def write_samples(folder: Path, number: int, epoch: int, count: int, size: int = 16) -> None:
    """Write a picture for each prompt and seed of an epoch."""
    for index in range(count):
        file = paths.sample(folder, epoch, index)
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (size, size), colour(number, epoch, index)).save(file)


def _metrics(number: int, epoch: int, epochs: int) -> dict[str, float]:
    learnt = (1 - math.exp(-3 * epoch / epochs)) * number / 20
    fidelity = 0.4 + 0.4 * learnt
    return {
        "val/loss_ratio": 1 - 0.6 * learnt,
        "image/fidelity": fidelity,
        "image/fidelity_low": fidelity - 0.05,
        "image/fidelity_high": fidelity + 0.05,
        "image/adherence": 0.5 - 0.1 * learnt,
    }


@cache
def _config() -> dict[str, Any]:
    config = Config(name="FuzzyBear")
    config.sampling.seeds = list(SEEDS)
    config.dataset.trigger = TRIGGER
    found: Any = OmegaConf.to_container(OmegaConf.structured(config))
    return found
