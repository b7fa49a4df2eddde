"""One version on its way through a cohort: the training itself and everything around it.

`Version` knows how to take a step; a `Member` knows what a step means: the folder, the record, the evaluation at each
epoch, the best weights so far, the trackers, and how it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lorasweep import files
from lorasweep.console.closing import closing_table
from lorasweep.console.lines import Progress, say
from lorasweep.data.survey import Survey
from lorasweep.errors import UserError
from lorasweep.metrics.selection import best_epoch
from lorasweep.pictures import curves
from lorasweep.runs import command_lines as commands
from lorasweep.runs import paths, retention
from lorasweep.runs.record import Epoch, Record, Status, now
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema import LAST, Config
from lorasweep.schema.measures import METRICS
from lorasweep.tracking.group import Trackers
from lorasweep.tracking.jsonl import read_rows
from lorasweep.training import remeasuring
from lorasweep.training.diverged import diverged
from lorasweep.training.evaluator import Evaluator
from lorasweep.training.means import SKIPPED, StepMeans
from lorasweep.training.memory.forecast import best
from lorasweep.training.memory.shortage import cures
from lorasweep.training.memory.spill import SpillWatch
from lorasweep.training.next_commands import after_training
from lorasweep.training.version import NonFiniteError, Version
from lorasweep.training.weights_file import write_diffusers_folder, write_epoch_weights

Report = Callable[[int, dict[str, float]], str | None]
"""Called after each evaluation with the optimizer step and all metrics; returns why to stop, or None to go on."""


@dataclass(frozen=True)
class Job:
    """What one version of a cohort is asked to be.

    Attributes:
        config: the checked config; `config.resume` continues a version instead of starting one.
        overrides: the command line's, for the record. choices: config group -> choice, likewise.
        trial: {"study", "number"} of a search, and "params" where they are known; None outside of one.
        report: asked after each evaluation whether to stop.
        start_from: version folder whose last saved state the new version begins with; it begins at step 0 where that
            is impossible, and says so. Without effect when `config.resume` continues a version.
        seen: the survey of its data, told already; None: it is still to be made.
        began: when the program was started for it (`time.monotonic`); None: it starts now.
    """

    config: Config
    overrides: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    trial: dict[str, object] | None = None
    report: Report | None = None
    start_from: Path | None = None
    seen: Survey | None = None
    began: float | None = None


@dataclass
class Member:
    """A version of a cohort and what belongs to it.

    Attributes:
        config: the whole config.
        version: the trainable side.
        evaluator: what measures it.
        record: its record.
        trackers: where metrics go.
        stopwatch: where its seconds went.
        progress: told about every step and epoch. spill: watches a GPU's memory; None without one.
        report: asked after each evaluation whether to stop.
        means: of what its steps measure.
        remeasured: beginnings of the names of what is measured in another way than up to the state it begins with.
        held: what is closed when the version leaves the cohort (its lock, its log).
        error: why it failed, once it has.
        changes: overrides that it should go on with.
    """

    config: Config
    version: Version
    evaluator: Evaluator
    record: Record
    trackers: Trackers
    stopwatch: Stopwatch
    progress: Progress
    report: Report | None
    spill: SpillWatch | None
    means: StepMeans
    remeasured: frozenset[str]
    held: tuple[Any, ...]
    error: Exception | None = None
    changes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Its version folder."""
        return self.record.folder

    @property
    def resume_command(self) -> str:
        """The command that continues this version."""
        config = self.config
        return commands.resume(config.name, config.recipe, self.version.number, config.output_root, *self.changes)

    @property
    def active(self) -> bool:
        """Whether it still has steps to take."""
        return self.record.status == "running" and not self.version.finished

    @property
    def selected(self) -> Path:
        """Path of the weights file of the selected epoch."""
        return paths.selected(self.folder, self.record.stem)

    @property
    def diffusers_folder(self) -> Path:
        """Path of the selected checkpoint as a diffusers folder (full fine-tunes only)."""
        return paths.diffusers(self.folder, self.record.stem)

    @property
    def _metric(self) -> str:
        """Name of what the epochs are compared by; the objective where the last one is selected whatever it is."""
        chosen = self.config.evaluation.select_by
        return self.config.objective if chosen in (None, LAST) else chosen

    def weights(self, epoch: int) -> Path:
        """Return the path of the weights file of an epoch (1-based)."""
        return paths.weights(self.folder, self.record.stem, epoch)

    def cures(self, phase: str) -> dict[str, str]:
        """Return settings that would lower the peak of memory in a phase -> the command that applies them.

        The best that this version can go on with becomes part of `resume_command`.
        """
        found = best(self.config, self.version.base, phase)
        if self.record.trial:  # the search's command decides, for all of its trials
            return {saving.explain(): "for the whole search" for saving in found}
        self.changes = next((saving.overrides for saving in found if saving.free), ())
        return cures(self.config, found, self.record.overrides, self.version.number)

    def begin(self) -> None:
        """Measure the base, the yardstick of what follows, and draw the samples of before."""
        base = self.evaluator.base_metrics()
        self.record.metrics.base = dict(base)
        self.record.write()
        if self.version.step == 0:
            self._log_images(0, 0)
            self.trackers.metrics({"epoch": 0, **base}, 0)
        else:
            if anew := {name: value for name, value in base.items() if name.startswith(tuple(self.remeasured))}:
                self.trackers.metrics({"epoch": 0, **anew}, 0)
            self._select(again=True)  # of the epochs that are left: a later one may have been chosen before the kill
            self._thin_out()
            if self.evaluator.samples.prompts and self.evaluator.samples.epochs():
                self._write_sheets()
        self.progress.begin()

    def replay(self) -> None:
        """Tell the trackers what was done up to here and they lack: all where they are new, else what a kill cost."""
        rows = read_rows(paths.metrics(self.folder))
        self.trackers.replay([{k: v for k, v in row.items() if not k.startswith(remeasuring.EARLIER)} for row in rows])
        steps = {0: 0} | {entry.epoch: entry.step for entry in self.record.epochs}
        for epoch in self.evaluator.samples.epochs():
            if epoch in steps:
                self.trackers.replay_images(self._images(epoch), steps[epoch])

    def step(self) -> None:
        """Take one optimizer step, and finish the epoch if it ends here."""
        rates, started = self.version.rates(), time.perf_counter()
        if self.version.step in self.version.plan.epoch_ends:
            self.means.begin_epoch()
        try:
            with self.stopwatch("train"):
                report = self.version.train_step()
        except NonFiniteError as error:
            what = f"step {self.version.step + 1}: {error}. The step was not taken and nothing was saved of it"
            raise self._diverged(what) from error
        step = self.version.step
        self.means.add(report.loss, report.grad_norm, time.perf_counter() - started, skipped=report.skipped)
        self.progress.step(step, report.loss, next(iter(rates.values())))
        epoch_ends = step in self.version.plan.epoch_ends
        if epoch_ends or step % self.config.tracker.every_steps == 0:
            self._log_row(step, rates)
        every = self.config.training.state_every_steps
        if epoch_ends:
            self.finish_epoch()
        elif every and step % every == 0:
            self.save_state()

    def finish_epoch(self) -> None:
        """Write the epoch's weights, measure, sample, choose the best so far; the state comes last.

        A kill anywhere in between therefore repeats the whole epoch's end on resume, with the same results. Only
        then may files of earlier epochs go: until the state is saved, a resumed version would choose among them.
        """
        epoch, step, config = self.version.epoch, self.version.step, self.config
        before = self.version.epochs_at(step - 1)  # short epochs can end at one step; they then share its results

        def due(every: int) -> bool:
            return bool(every) and (self.version.finished or epoch // every > before // every)

        save, sample = due(config.training.save_every_epochs), due(config.sampling.every_epochs)
        measure = due(config.evaluation.every_epochs)
        if save:
            self._write_weights(epoch)
        measured = self.evaluator.epoch_metrics(epoch, measure=measure, sample=sample)
        metrics = {"train/loss": self.means.epoch_loss(), **measured}
        entry = Epoch(epoch, step, self.weights(epoch).name if save else None, metrics)
        self.record.epochs = [*self.record.epochs, entry]
        self.record.seconds = self.stopwatch.read()
        self.record.write()
        self._select()
        if sample and self.evaluator.samples.prompts:
            with self.stopwatch("sample"):
                self._write_sheets()
            self._log_images(epoch, step)
        self.trackers.metrics({"epoch": epoch, **measured}, step)
        self.progress.epoch(epoch, metrics)
        self.save_state()
        reason = self.report(step, metrics) if measure and self.report is not None else None
        if reason and not self.version.finished:
            if not save:  # this is its last epoch after all
                self._write_weights(epoch)
                entry.file = self.weights(epoch).name
                self._select()
            self.close("pruned", reason)
        self._thin_out()

    def _write_weights(self, epoch: int) -> None:
        try:
            write_epoch_weights(self.weights(epoch), self.version, self.record, now())
        except UserError as error:  # they are no numbers any more
            raise self._diverged(f"{error.title} after step {self.version.step}: {error.problems[0]}") from error

    def _diverged(self, what: str) -> UserError:
        version, precision = self.version, self.version.accelerator.mixed_precision
        return diverged(what, self.config, self.record, version.step, precision)

    def close(self, status: Status, reason: str | None = None) -> None:
        """End the version: record, curves, best weights to the trackers; every earlier file of weights stays."""
        record, chosen = self.record, self.record.selected
        summary = chosen.metrics if chosen else {}
        record.status, record.reason = status, reason
        record.objective.value = summary.get(self.config.objective)
        record.metrics.selected = summary
        record.seconds, record.finished = self.stopwatch.read(), now()
        record.write()
        if record.epochs:
            self._draw_curves()
        if chosen and self.selected.exists():
            aliases = [f"v{self.version.number}", "latest"]
            if record.trial is None:  # of a study's versions only the winner is the best (`mark_best`)
                aliases.append("best")
            self.trackers.weights(self.selected, aliases, {"epoch": chosen.epoch, **chosen.metrics})
        self.trackers.finish(status, summary)
        if status in retention.ENDED and not self.config.training.keep_state:
            retention.drop_state(self.folder)

    def complete(self) -> None:
        """End as complete: every planned step is done."""
        if self.config.network.type == "full" and self.config.training.diffusers_folder and self.selected.exists():
            write_diffusers_folder(self.diffusers_folder, self.selected, self.config.base_model)
        self.close("complete")

    def leave(self) -> None:
        """Take the adapter off the base and close what was held open; safe after any ending."""
        self.version.remove()
        self.trackers.finish(self.record.status, {})  # where a full disk kept `close` from it
        self.progress.close()
        for stream in self.held:
            stream.close()

    def show_closing(self) -> None:
        """Print where everything is, what was measured, and what to type next."""
        samples = self.evaluator.samples
        places = {
            "weights": self.selected,
            "diffusers": self.diffusers_folder,
            "before/after": samples.before_after,
            "all samples": samples.grid,
            "curves": paths.curves(self.folder),
            "folder": self.folder,
        }
        closing_table(self.record, places, self._next_commands())

    def _next_commands(self) -> dict[str, str]:
        if isinstance(self.error, UserError) and self.error.ways:
            return {}  # the message of the error, which follows, has them
        if self.record.status != "complete":
            return {"continue": self.resume_command}
        return after_training(self.config, self.record.overrides, self.selected, base=self.version.base.identity)

    def interrupt(self) -> None:
        """Save the state of this very step and end as interrupted."""
        self.save_state()
        self.close("interrupted", f"stopped by the user after step {self.version.step}")

    def abandon(self) -> None:
        """End as interrupted without saving anything more; the last saved state is whole."""
        if self.record.status == "running":
            reason = f"stopped at once in step {self.version.step + 1}: it goes on from its last saved state"
            self.record.status, self.record.reason, self.record.finished = "interrupted", reason, now()
            self.record.write()

    def _select(self, again: bool = False) -> None:
        """Let the best epoch that has a file become the selected one.

        Args:
            again: write its file even where there is one already.
        """
        record, saved, metric = self.record, self.record.saved, self._metric
        before, epoch, reason = record.selected_epoch, None, None
        if saved and self.config.evaluation.select_by == LAST:
            epoch, reason = saved[-1].epoch, "the last epoch (evaluation.select_by)"
        elif saved:
            epoch, reason = best_epoch(saved, metric, METRICS[metric].direction)
        record.selected_epoch, record.selected_because = epoch, reason
        if record.selected is not None and (again or epoch != before or not self.selected.exists()):
            files.link_or_copy(self.folder / str(record.selected.file), self.selected)
        record.write()

    def _thin_out(self) -> None:
        """Remove the weights files that `training.keep_epochs` lets go."""
        if (keep := self.config.training.keep_epochs) is not None:
            retention.drop_epochs(self.record, retention.surplus(self.record, keep))

    def save_state(self) -> None:
        """Save all that is needed to go on from this step."""
        self.version.save_state(self.folder, {"means": self.means.state()})

    def _log_row(self, step: int, rates: dict[str, float]) -> None:
        values = {f"train/lr_{part}": rate for part, rate in rates.items()} | self.means.take_row()
        if self.version.accelerator.scaler is None:
            del values[SKIPPED]  # only fp16 skips
        self.trackers.metrics({"epoch": self.version.epoch, **values}, step)
        if self.spill is not None:
            warning = self.spill.look(torch.cuda.memory_reserved(), values["time/seconds_per_step"])
            if warning:
                say("\n  ".join([warning, *(f"{what}: {command}" for what, command in self.cures("train").items())]))

    def _log_images(self, epoch: int, step: int) -> None:
        if images := self._images(epoch):
            self.trackers.images(images, step)

    def _images(self, epoch: int) -> dict[str, Path]:
        """Return the sample images of an epoch as trackers take them."""
        samples = self.evaluator.samples
        return {
            f"samples/{index} {prompt.text}": samples.path(epoch, index)
            for index, prompt in enumerate(samples.prompts)
            if samples.path(epoch, index).exists()
        }

    def _write_sheets(self) -> None:
        record, metric = self.record, self._metric
        values = {0: (record.metrics.base or {}).get(metric)}
        values |= {entry.epoch: entry.metrics.get(metric) for entry in record.epochs}
        self.evaluator.samples.write_sheets(record.selected_epoch, metric, values)

    def _draw_curves(self) -> None:
        bins, timesteps = self.config.evaluation.bins, self.version.base.process.timesteps
        curves.write_curves(
            read_rows(paths.metrics(self.folder)),
            paths.curves(self.folder),
            title=f"{self.config.name} v{self.version.number}",
            parts={part.name: part.label for part in self.version.base.family.parts},
            selected_epoch=self.record.selected_epoch,
            bin_edges=[round(timesteps * edge / bins) for edge in range(bins + 1)],
        )
