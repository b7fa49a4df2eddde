"""Which versions can be compared, in what they differ, and which is best: from their records alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lorasweep.runs import ledger
from lorasweep.runs.command_lines import key_of
from lorasweep.runs.record import DataRecord, Record
from lorasweep.schema import schema_keys
from lorasweep.schema.goals import measure_of
from lorasweep.schema.measures import verdict

ALWAYS_NAMED = ("objective", "further_objectives", "dataset.path", "dataset.theme", "base_model.path")
"""Settings that are no column of their own: they stand in the title, or under `data`."""


@dataclass(frozen=True)
class Entry:
    """A version as it is compared.

    Attributes:
        version: it.
        settings: all that it was trained with, by dotted key, and its `recipe`, `preset` and `data`.
    """

    version: ledger.RecordedVersion
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return what it is called among the versions of its name: `v6`."""
        return f"v{self.version.number}"

    @property
    def value(self) -> float | None:
        """Return its objective at the selected epoch, if it was measured."""
        return self.version.record.objective.value

    @property
    def steps(self) -> int | None:
        """Return the optimizer steps up to the last epoch that it finished."""
        epochs = self.version.record.epochs
        return epochs[-1].step if epochs else None

    @property
    def seconds(self) -> float | None:
        """Return how long it took."""
        seconds = self.version.record.seconds
        return seconds.total if seconds is not None else None

    @property
    def started(self) -> datetime | None:
        """Return when it was started, in local time."""
        text = self.version.record.started
        return datetime.fromisoformat(text).astimezone() if text else None

    def setting(self, name: str) -> Any:
        """Return any setting of its config by its dotted key, be it one of training or not."""
        return self.version.record.setting(schema_keys()[name])

    @cached_property
    def given(self) -> list[str]:
        """Return the keys and groups that its command line set."""
        return [key_of(text) for text in self.version.record.overrides]


@dataclass(frozen=True)
class Comparison:
    """Versions that can be compared: one LoRA, base, measure and set of held-out images.

    Attributes:
        entries: the versions, by number.
        title: what they have in common, in words.
    """

    entries: Sequence[Entry]
    title: str

    @property
    def objective(self) -> str:
        """Return the name of the metric that they are compared by."""
        return self.entries[0].version.record.objective.name

    @cached_property
    def standing(self) -> dict[int, str]:
        """Return `best` or `same` (as the best, within the noise) by version number; of one version none is best."""
        measured = [entry for entry in self.entries if entry.value is not None and entry.value == entry.value]
        measure = measure_of(self.objective)
        if len(measured) < 2 or measure is None:
            return {}
        sign = 1 if measure.direction == "minimize" else -1
        best = min(measured, key=lambda entry: (sign * (entry.value or 0.0), entry.version.number))
        close = [e for e in measured if verdict("", e.value or 0.0, best.value or 0.0, measure) == "same"]
        return {entry.version.number: "same" for entry in close} | {best.version.number: "best"}

    @cached_property
    def differing(self) -> list[str]:
        """Return the settings that are not the same in all versions: those of the command lines first."""
        keys = dict.fromkeys(key for entry in self.entries for key in entry.settings)
        differ = [key for key in keys if len(set(self.pattern(key))) > 1]
        typed = dict.fromkeys(key for entry in self.entries for key in entry.given if key in differ)
        return [*typed, *(key for key in differ if key not in typed)]

    @cached_property
    def telling(self) -> list[str]:
        """Return of `differing` what command lines set, and of the others one for each way to tell versions apart."""
        typed = {key for entry in self.entries for key in entry.given}
        named: list[str] = []
        for key in self.differing:
            if key in typed or all(not self._follows(key, other) for other in named):
                named.append(key)
        return named

    def pattern(self, key: str) -> tuple[str, ...]:
        """Return the values of a setting in the order of the versions, each as text."""
        return tuple(json.dumps(entry.settings.get(key), sort_keys=True) for entry in self.entries)

    def _follows(self, key: str, other: str) -> bool:
        """Return whether one setting tells the same versions apart as another."""
        pairs = set(zip(self.pattern(other), self.pattern(key), strict=True))
        return len(pairs) == len(set(self.pattern(other))) == len(set(self.pattern(key)))


def compare(versions: Iterable[ledger.RecordedVersion]) -> list[Comparison]:
    """Return the versions in groups that can be compared, by name and number of the first version of each."""
    groups: dict[str, list[Entry]] = {}
    for version in versions:
        groups.setdefault(_common(version.record), []).append(Entry(version, _settings(version.record)))
    records = [entries[0].version.record for entries in groups.values()]
    return [
        Comparison(entries, _title(record, _apart([r for r in records if r.name == record.name])))
        for entries, record in zip(groups.values(), records, strict=True)
    ]


def order(comparison: Comparison, by: str) -> list[Entry]:
    """Return the versions in another order: what lacks the value comes last.

    Args:
        comparison: whose versions.
        by: number, value (best first), steps, time, started, or a setting, by its dotted key or the end of it.

    Raises:
        KeyError: there is no such setting.
    """
    measure = measure_of(comparison.objective)
    sign = -1 if measure is not None and measure.direction == "maximize" else 1
    orders: dict[str, Callable[[Entry], Any]] = {
        "number": lambda entry: entry.version.number,
        "value": lambda entry: None if entry.value is None or entry.value != entry.value else sign * entry.value,
        "steps": lambda entry: entry.steps,
        "time": lambda entry: entry.seconds,
        "started": lambda entry: entry.started,
    }
    if by not in orders:
        key = _key(by)
        orders[by] = lambda entry: _sortable(entry.settings.get(key))

    def place(entry: Entry) -> tuple[bool, Any, int]:
        found = orders[by](entry)
        return (found is None, (0,) if found is None else (found,), entry.version.number)

    return sorted(comparison.entries, key=place)


SORTS = ("number", "value", "steps", "time", "started")


def _key(by: str) -> str:
    """Return the setting of a dotted key or of the end of one, the first that there is.

    Raises:
        KeyError: there is none.
    """
    for key in ("recipe", "preset", "data", *schema_keys()):
        if key == by or key.endswith(f".{by}"):
            return key
    raise KeyError(by)


def _sortable(value: Any) -> tuple[int, float, str] | None:
    """Return something that sorts: numbers by size, then all else by its text."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _settings(record: Record) -> dict[str, Any]:
    """Return what decided how a version was trained."""
    data = record.dataset
    found = {"recipe": record.recipe, "preset": _preset(record)}
    if data.sha256:
        found["data"] = f"{_data(data)} {data.sha256[:6]}"
    for name, key in schema_keys().items():
        if key.resume not in ("free", "which", "measured", "longer") and name not in ALWAYS_NAMED:
            found[name] = record.setting(key)
    return found


def _preset(record: Record) -> str:
    texts = [text for text in record.overrides if key_of(text) == "preset"]
    return texts[-1].partition("=")[2] if texts else ""


def _common(record: Record) -> str:
    """Return what versions must have in common to be compared, as text."""
    data, objective = record.dataset, record.objective.name
    heldout = data.heldout_sha256 or (data.sha256, data.heldout)
    measured_on = data.sha256 if objective.startswith("train/") else heldout
    return json.dumps([record.name, objective, record.base.sha256, measured_on, _yardstick(record)], sort_keys=True)


def _yardstick(record: Record) -> dict[str, Any]:
    """Return the settings that decide how a version's objective is measured."""
    objective = record.objective.name
    deciding = [key for key in schema_keys().values() if key.measures and objective.startswith(key.measures)]
    found = {key.name: record.setting(key) for key in deciding}
    if objective.startswith("train/"):  # the loss itself
        found |= {name: record.setting(key) for name, key in schema_keys().items() if name.startswith("loss.")}
    return found


def _apart(records: Sequence[Record]) -> list[str]:
    """Return the settings that measure some of these versions in another way than others."""
    found = [_yardstick(record) for record in records]
    keys = dict.fromkeys(key for yardstick in found for key in yardstick)
    return [key for key in keys if len({json.dumps(yardstick.get(key)) for yardstick in found if key in yardstick}) > 1]


def _title(record: Record, apart: Sequence[str]) -> str:
    """Return what a group has in common: LoRA, base, data, measure, and how it is measured where that differs."""
    base, objective = record.base, record.objective.name
    known = measure_of(objective)
    measure = known.label if known else objective
    yardstick = _yardstick(record)
    more = [f"{key} {yardstick[key]}" for key in apart if key in yardstick and len(str(yardstick[key])) < 30]
    where = [f"on {Path(base.path).name}"] if base.path else []
    return ", ".join(filter(None, [" ".join([record.name, *where]), _data(record.dataset), measure, *more]))


def _data(data: DataRecord) -> str:
    if not data.path:
        return ""
    heldout = f", {data.heldout} held out" if data.heldout else ""
    return f"{data.path} ({'?' if data.images is None else data.images} images{heldout})"
