"""record.json: what a version is, how far it has come and what was measured of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from lorasweep import files
from lorasweep.runs import paths
from lorasweep.runs.stored import Stored
from lorasweep.runs.trigger_record import TriggerAnalysis
from lorasweep.schema import Key
from lorasweep.schema.retired import config_of_today, line_of_today

Status = Literal["running", "complete", "pruned", "failed", "interrupted"]

Metrics = dict[str, float]
"""What was measured, by name; NaN where it could not be."""


@dataclass
class ObjectiveRecord(Stored):
    """What versions are compared by.

    Attributes:
        name: of the metric.
        value: at the selected epoch; None until the version has ended, and where it was not measured.
        direction: `minimize` or `maximize`.
    """

    name: str = ""
    value: float | None = None
    direction: str = "minimize"


@dataclass
class Epoch(Stored):
    """An epoch that is over.

    Attributes:
        epoch: its number, from 1.
        step: optimizer steps up to its end.
        file: name of its weights file; None where none was written, or where it was removed.
        metrics: what was measured of it.
    """

    epoch: int
    step: int = 0
    file: str | None = None
    metrics: Metrics = field(default_factory=dict)


@dataclass
class BaseRecord(Stored):
    """The frozen model.

    Attributes:
        family: such as `sdxl`.
        path: as it was given, or `toy`.
        sha256: of its weights.
    """

    family: str = ""
    path: str = ""
    sha256: str = ""


@dataclass
class DataRecord(Stored):
    """The images.

    Attributes:
        path: their folder, or `theme:<name>`.
        images: how many are trained on.
        heldout: how many are measured on.
        sha256: of images and captions that are trained on.
        heldout_sha256: of those that are measured on; None of a program that did not keep it.
        skipped: what was left out, and why.
        warnings: what was found wrong with the rest.
    """

    path: str = ""
    images: int | None = None
    heldout: int | None = None
    sha256: str = ""
    heldout_sha256: str | None = None
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class TrialRecord(Stored):
    """Whose trial a version is.

    Attributes:
        study: name of the study.
        number: of the trial.
    """

    study: str
    number: int


@dataclass
class Origin(Stored):
    """What a version goes on from.

    Attributes:
        version: number of the earlier version of the same name.
        step: optimizer steps that it took over; 0 until all is copied.
    """

    version: int
    step: int = 0


@dataclass
class Seconds(Stored):
    """Where the time went, in seconds.

    Attributes:
        total: from the start to the end, without pauses between two processes.
        load: of loading the base.
        cache: of reading the data, and of encoding what was not cached yet.
        train: of steps.
        sample: of sampling.
        evaluate: of measuring.
    """

    total: float = 0.0
    load: float = 0.0
    cache: float = 0.0
    train: float = 0.0
    sample: float = 0.0
    evaluate: float = 0.0


@dataclass
class MetricsRecord(Stored):
    """What was measured, at the two places that are compared.

    Attributes:
        base: of the base before training; None before it was measured.
        selected: at the selected epoch; None before the version has ended.
    """

    base: Metrics | None = field(default=None, metadata={"absent": True})
    selected: Metrics | None = field(default=None, metadata={"absent": True})


@dataclass
class Evaluation(Stored):
    """What was measured of a weights file of the version after its training (`lorasweep evaluate`).

    Attributes:
        epoch: that the file is of.
        weights: SHA-256 of its tensors.
        strength: that it was put on the base with.
        settings: all that decided the measuring: prompts, seeds, sizes, sampler, base, feature models, data. Figures of
            equal settings can be compared.
        metrics: what was measured, by name.
        base: the same of the bare base, on the same prompts and seeds.
        distance: mean distance of its pictures from the base's, in [0, 1]; 0: the weights changed nothing.
        cells: names of its pictures, in the order of the settings' requests; they lie in `<output_root>/.cells`.
        base_cells: of the base's.
        seconds: that it took.
        finished: when, ISO 8601.
    """

    epoch: int | None = None
    weights: str = ""
    strength: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=dict)
    base: Metrics = field(default_factory=dict)
    distance: float = 0.0
    cells: list[str] = field(default_factory=list)
    base_cells: list[str] = field(default_factory=list)
    seconds: float = 0.0
    finished: str = ""


@dataclass
class Record(Stored):
    """The record of one version; on the disk it is always whole.

    Attributes:
        folder: the version's folder.
        name: of the LoRA.
        version: its number.
        recipe: the choice of `lora=`.
        status: how it ended, or that it runs; what was killed says so too (see `ledger.RecordedVersion.status`).
        reason: why it was pruned, interrupted or failed.
        config: the resolved config.
        overrides: of the command line that began it.
        objective: what versions are compared by.
        metrics: of the base and of the selected epoch.
        selected_epoch: the best so far that has a weights file.
        selected_because: why it is that one, in words.
        epochs: what is over, in order.
        base: the frozen model.
        dataset: the images.
        multirun: which multirun it is of; None outside of one.
        trial: which trial of a study it is; None outside of one.
        started_from: SHA-256 of the weights file that it began with, if any.
        continued_from: the version that it goes on from, if any.
        environment: versions of packages, device, git commit.
        seconds: where the time went; None of a program that did not keep it.
        evaluations: what was measured after the training, in its order.
        triggers: analyses of its trigger (`lorasweep trigger`), in their order.
        started: when, ISO 8601.
        finished: when it ended, ISO 8601.
    """

    folder: Path = field(compare=False, metadata={"stored": False})
    name: str
    version: int
    recipe: str = ""
    status: Status | Literal[""] = ""
    reason: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    objective: ObjectiveRecord = field(default_factory=ObjectiveRecord)
    metrics: MetricsRecord = field(default_factory=MetricsRecord)
    selected_epoch: int | None = None
    selected_because: str | None = None
    epochs: list[Epoch] = field(default_factory=list)
    base: BaseRecord = field(default_factory=BaseRecord)
    dataset: DataRecord = field(default_factory=DataRecord)
    multirun: str | None = None
    trial: TrialRecord | None = None
    started_from: str | None = None
    continued_from: Origin | None = None
    environment: dict[str, str | None] = field(default_factory=dict)
    seconds: Seconds | None = None
    evaluations: list[Evaluation] = field(default_factory=list)
    triggers: list[TriggerAnalysis] = field(default_factory=list)
    started: str = ""
    finished: str | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the record of the version in a folder.

        Raises:
            OSError: there is none.
            ValueError: it is no record, such as one that a hand has edited or a disk has lost.
        """
        try:
            found = cls.parse(json.loads(paths.record(folder).read_text()), folder=folder)
            found.config, found.overrides = config_of_today(found.config), line_of_today(found.overrides)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"{paths.record(folder)} is no record of a version: {error}") from None
        if not (isinstance(found.name, str) and isinstance(found.version, int)):
            raise ValueError(f"{paths.record(folder)} is no record of a version: name or version is of another type")
        return found

    def write(self) -> None:
        """Write the whole record, atomically.

        Raises:
            OSError: the disk is full or the like; the earlier one is still there, whole.
        """
        files.write_json(paths.record(self.folder), self.plain())

    @property
    def stem(self) -> str:
        """Return how the names of the version's weights files begin: `FuzzyBear_v6`."""
        return f"{self.name}_v{self.version}"

    @property
    def study(self) -> str:
        """Return the name of the study that the version is a trial of; "" outside of one."""
        return self.trial.study if self.trial is not None else ""

    @property
    def selected(self) -> Epoch | None:
        """Return the selected epoch."""
        return next((entry for entry in self.epochs if entry.epoch == self.selected_epoch), None)

    @property
    def saved(self) -> Sequence[Epoch]:
        """Return the epochs that have a weights file, in order."""
        return [entry for entry in self.epochs if entry.file]

    def setting(self, key: Key) -> Any:
        """Return a setting of its config; the default where the record is of a program that did not know the key."""
        value: Any = self.config
        for part in key.name.split("."):
            if not isinstance(value, dict) or part not in value:
                return key.default
            value = value[part]
        return value


def now() -> str:
    """Return the time as records have it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
