"""What the review page shows: versions, generated pictures, measures. Nothing is read or drawn here.

A picture is found by its coordinates: version, epoch, prompt, seed and strength. Any of them, and any setting in which
the versions differ, can be an axis of the page's grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASE = 0
"""The epoch of pictures that the base drew without the adapter."""


@dataclass(frozen=True)
class MetricInfo:
    """What the page says about a metric.

    Attributes:
        name: such as `image/adherence`.
        label: what people read.
        meaning: what it says, in a line; "" of one that is not registered.
        direction: minimize or maximize; "" where neither is known to be better.
        evaluated: whether an evaluation measured it, not the training.
    """

    name: str
    label: str
    meaning: str = ""
    direction: str = ""
    evaluated: bool = False


@dataclass(frozen=True)
class PageMeasure:
    """A measure of one version.

    Attributes:
        value: it.
        low: lower end of its interval, where it has one.
        high: upper end.
        delta: its distance from the base at the same prompts and seeds, where the base was measured.
        delta_low: lower end of the distance's interval.
        delta_high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None
    delta: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a version, or that nothing is.

    Attributes:
        label: such as `overfit`.
        words: evidence and advice.
    """

    label: str
    words: str = ""


@dataclass(frozen=True)
class EpochPoint:
    """What was measured after an epoch.

    Attributes:
        epoch: from 1.
        step: optimizer steps up to its end.
        metrics: by name.
        file: name of its weights file, as long as there is one.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float]
    file: str | None = None


@dataclass(frozen=True, kw_only=True)
class PageVersion:
    """A version as a row of the table.

    Attributes:
        id: `fuzzybear/v6`, unique on the page.
        name: `v6`.
        lora: display name of its LoRA.
        folder: of its files.
        status: how it ended, or that it runs.
        group: number of the group of versions that it can be compared with.
        standing: `best` or `same` within its group, or "".
        settings: its whole config by dotted key.
        epochs: what is over.
        selected: the selected epoch.
        selected_because: why it is that one, in words.
        objective: name of the metric that it was trained for.
        direction: minimize or maximize.
        base: the base's measures.
        metrics: those of the selected epoch.
        observations: what somebody wrote about it, else what its command line set and why it ended early.
        diagnosis: what is wrong with it, where somebody judged.
        commands: what for -> command.
        facts: label -> text.
        trial: `study name, number of the trial`, or None.
        seconds: how long it took.
        started: when, ISO 8601.
    """

    id: str
    name: str
    lora: str
    folder: Path
    status: str
    group: int = 0
    standing: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: Sequence[EpochPoint] = ()
    selected: int | None = None
    selected_because: str = ""
    objective: str = ""
    direction: str = "minimize"
    base: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, PageMeasure] = field(default_factory=dict)
    observations: str = ""
    diagnosis: Diagnosis | None = None
    commands: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    trial: tuple[str, int] | None = None
    seconds: float | None = None
    started: str = ""


@dataclass(frozen=True, kw_only=True)
class PageCell:
    """A generated picture and its coordinates.

    Attributes:
        version: id of the version that drew it.
        epoch: whose weights drew it; `BASE` without the adapter.
        prompt: as it was given to the sampler.
        seed: of its noise.
        strength: of the adapter.
        file: the picture.
        weights: SHA-256 of the weights file that drew it, where that is known.
        changed: how far it is from the base's picture of the same prompt and seed, where that was measured.
        scores: what was measured on the pictures that it is of, by the metrics' names on the page.
    """

    version: str
    epoch: int
    prompt: str
    seed: int
    file: Path
    strength: float = 1.0
    weights: str | None = None
    changed: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plot:
    """A picture of a study.

    Attributes:
        study: its name.
        title: such as `importance`.
        file: PNG.
    """

    study: str
    title: str
    file: Path


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that one page shows.

    Attributes:
        title: its headline.
        versions: in the order of the table.
        groups: what the versions of each group have in common, in words.
        keys: settings in which versions differ, those that command lines set first.
        metrics: those that any version has, in the order of the registry.
        cells: the pictures.
        plots: of the studies that the versions are trials of.
    """

    title: str
    versions: Sequence[PageVersion]
    groups: Sequence[str]
    keys: Sequence[str]
    metrics: Sequence[MetricInfo]
    cells: Sequence[PageCell]
    plots: Sequence[Plot] = ()
