"""What two runs have in common: whether one can go on where the other stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from lorasweep.data import manifest
from lorasweep.data.dataset import Dataset
from lorasweep.families import base as families
from lorasweep.runs import paths
from lorasweep.runs.record import BaseRecord, DataRecord, Record
from lorasweep.schema import PERMISSIONS, Config, schema_keys
from lorasweep.schema.option import OnResume
from lorasweep.text.values import written


@dataclass(frozen=True)
class Subject:
    """What a run learns from, and how.

    Attributes:
        config: its settings, as records have them.
        base: the frozen model.
        dataset: the images.
        images: these one by one; None of a version that kept no list.
    """

    config: dict[str, Any]
    base: BaseRecord
    dataset: DataRecord
    images: manifest.Manifest | None

    @classmethod
    def of(cls, config: Config, base: families.Base, dataset: Dataset) -> Subject:
        """Return what a version of this config would learn from, and how."""
        plain = OmegaConf.to_container(OmegaConf.structured(config))
        assert isinstance(plain, dict)
        return cls(
            {str(key): value for key, value in plain.items() if key not in PERMISSIONS},
            BaseRecord(base.family.name, config.base_model.path or "toy", base.sha256),
            DataRecord(
                path=config.dataset.path or f"theme:{config.dataset.theme}",
                images=dataset.images,
                heldout=dataset.heldout_count,
                sha256=dataset.sha256,
                heldout_sha256=dataset.heldout_sha256,
                skipped=dataset.skipped,
                warnings=[str(finding) for finding in dataset.report.warnings],
            ),
            dataset.manifest,
        )

    @classmethod
    def saved(cls, record: Record) -> Subject:
        """Return what a version learns from, and how."""
        try:
            images = json.loads(paths.manifest(record.folder).read_text())
        except (OSError, ValueError):
            images = None
        return cls(record.config, record.base, record.dataset, images)


@dataclass(frozen=True)
class Differences:
    """How a run differs from an earlier one.

    Attributes:
        others: what makes it another run, a line each.
        longer: the keys by which it has another length, such as training.epochs.
        measures: beginnings of the names of what is measured in another way, such as `val/`.
    """

    others: list[str]
    longer: list[str]
    measures: frozenset[str]


def differences(before: Subject, now: Subject) -> Differences:
    """Return how a run differs from the one before."""
    old, new = _dotted(before.config), _dotted(now.config)

    def changed(kind: OnResume) -> list[str]:
        keys = [key for key in schema_keys().values() if key.resume == kind]
        return [key.name for key in keys if old.get(key.name, key.default) != new.get(key.name, key.default)]

    def given(key: str) -> str:
        return f"{key}={written(new.get(key))}: it was begun with {written(old.get(key, schema_keys()[key].default))}"

    others = [given(key) for key in changed("refused")]
    if before.base.sha256 != now.base.sha256:
        others.append(f"base_model.path={now.base.path}: these are not the weights that it was begun on")
    measured = {prefix for key in changed("measured") for prefix in schema_keys()[key].measures}
    return Differences(others + _data(before, now), changed("longer"), frozenset(measured))


def _data(before: Subject, now: Subject) -> list[str]:
    """Return in words how the images differ."""
    where = now.dataset.path
    if before.images is not None and now.images is not None:
        return [f"{where}: {words}" for words in manifest.changes(before.images, now.images)]
    then, today = before.dataset, now.dataset
    pairs = [(then.images, today.images), (then.heldout, today.heldout), (then.sha256, today.sha256)]
    if any(before not in (None, "", now) for before, now in pairs):  # what an older record lacks is nobody's change
        counts = f"({then.images} images then, {today.images} now)"
        return [f"{where}: other images or captions than it was begun with {counts}"]
    return []


def _dotted(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found
