"""What is shown of a version while it trains: rows and images for the trackers, the bar, sheets and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from lorasweep.console.lines import Progress, echo
from lorasweep.pictures import curves
from lorasweep.runs import paths
from lorasweep.runs.record import Record
from lorasweep.tracking.group import Trackers
from lorasweep.tracking.jsonl import read_rows
from lorasweep.training import selection
from lorasweep.training.memory.spill import SpillWatch
from lorasweep.training.reporting.advice import Advice
from lorasweep.training.reporting.means import SKIPPED, StepMeans
from lorasweep.training.samples import Samples
from lorasweep.training.start import remeasuring
from lorasweep.training.train_state import StepReport
from lorasweep.training.version import Version


@dataclass
class Reporter:
    """Shows how one version comes along.

    Attributes:
        version: what is trained.
        record: its record.
        samples: its sample images.
        trackers: where metrics go.
        progress: told about every step and epoch.
        means: of what its steps measure.
        spill: watches a GPU's memory; None without one.
        advice: what would need less memory.
    """

    version: Version
    record: Record
    samples: Samples
    trackers: Trackers
    progress: Progress
    means: StepMeans
    spill: SpillWatch | None
    advice: Advice

    def replay(self) -> None:
        """Tell the trackers what was done up to here and they lack: all where they are new, else what a kill cost."""
        rows = read_rows(paths.metrics(self.record.folder))
        self.trackers.replay([{k: v for k, v in row.items() if not k.startswith(remeasuring.EARLIER)} for row in rows])
        steps = {0: 0} | {entry.epoch: entry.step for entry in self.record.epochs}
        for epoch in self.samples.epochs():
            if epoch in steps:
                self.trackers.replay_images(self._images(epoch), steps[epoch])

    def log_step(self, report: StepReport, rates: dict[str, float], seconds: float) -> None:
        """Take in what a step measured; every few steps, and at an epoch's end, the trackers get the means.

        Args:
            report: of the step.
            rates: learning rates that it was taken with.
            seconds: that it took.
        """
        version = self.version
        if version.step - 1 in version.plan.epoch_ends:
            self.means.begin_epoch()
        self.means.add(report.loss, report.grad_norm, seconds, skipped=report.skipped)
        self.progress.step(version.step, report.loss, next(iter(rates.values())))
        if version.epoch_ends or version.step % self.version.config.tracker.every_steps == 0:
            self._log_row(rates)

    def log_epoch(self, metrics: Mapping[str, float]) -> None:
        """Tell what was measured of the epoch that is over."""
        epoch = self.version.epoch
        measured = {
            name: value for name, value in metrics.items() if name != "train/loss"
        }  # which the steps' rows have
        self.trackers.metrics({"epoch": epoch, **measured}, self.version.step)
        self.progress.epoch(epoch, dict(metrics))

    def _log_row(self, rates: dict[str, float]) -> None:
        values = {f"train/lr_{part}": rate for part, rate in rates.items()} | self.means.take_row()
        if self.version.accelerator.scaler is None:
            del values[SKIPPED]  # only fp16 skips
        self.trackers.metrics({"epoch": self.version.epoch, **values}, self.version.step)
        if self.spill is not None:
            warning = self.spill.look(torch.cuda.memory_reserved(), values["time/seconds_per_step"])
            if warning:
                cures = self.advice.cures("train")
                echo("\n  ".join([warning, *(f"{what}: {command}" for what, command in cures.items())]))

    def log_images(self, epoch: int, step: int) -> None:
        """Show the trackers the samples of an epoch.

        Args:
            epoch: its number; 0 is the base before training.
            step: optimizer steps up to its end.
        """
        if images := self._images(epoch):
            self.trackers.images(images, step)

    def _images(self, epoch: int) -> dict[str, Path]:
        """Return the sample images of an epoch as trackers take them."""
        return {
            f"samples/{index} {prompt.text}": self.samples.path(epoch, index)
            for index, prompt in enumerate(self.samples.prompts)
            if self.samples.path(epoch, index).exists()
        }

    def write_sheets(self) -> None:
        """Redraw the pictures of all samples."""
        record, goal = self.record, selection.goal_of(self.version.config)
        values = {0: goal.value(record.metrics.base or {})}
        values |= {entry.epoch: goal.value(entry.metrics) for entry in record.epochs}
        self.samples.write_sheets(record.selected_epoch, goal.measure().label, values)

    def draw_curves(self) -> None:
        """Redraw the loss curves."""
        bins, timesteps = self.version.config.evaluation.bins, self.version.base.process.timesteps
        curves.write_curves(
            read_rows(paths.metrics(self.record.folder)),
            paths.curves(self.record.folder),
            title=f"{self.version.config.name} v{self.version.number}",
            parts={part.name: part.label for part in self.version.base.family.parts},
            selected_epoch=self.record.selected_epoch,
            bin_edges=[round(timesteps * edge / bins) for edge in range(bins + 1)],
        )
