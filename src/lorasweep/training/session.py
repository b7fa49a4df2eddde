"""What surrounds the steps of one version: its record, measures, weights files, trackers, and how it ends.

The first process of a launch has it alone; the steps themselves are in `lorasweep.training.loop`.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.runs import paths, retention
from lorasweep.runs.record import Epoch, Record, Status, now
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema import Config
from lorasweep.schema.goals import parse_goal
from lorasweep.training import selection
from lorasweep.training.evaluator import Evaluator
from lorasweep.training.job import Report
from lorasweep.training.reporting.advice import Advice
from lorasweep.training.reporting.diverged import diverged
from lorasweep.training.reporting.failures import explained
from lorasweep.training.reporting.reporter import Reporter
from lorasweep.training.version import Version
from lorasweep.training.weights_file import write_diffusers_folder, write_epoch_weights


@dataclass(frozen=True)
class Due:
    """What is to be done at the end of an epoch.

    Attributes:
        save: write its weights.
        sample: draw its samples.
        measure: measure the held-out loss.
    """

    save: bool
    sample: bool
    measure: bool


@dataclass
class Session:
    """A version's own side of its training.

    Attributes:
        config: the whole config.
        version: what is trained.
        evaluator: what measures it.
        record: its record.
        reporter: shows how it comes along.
        stopwatch: where its seconds went.
        report: asked after each evaluation whether to stop.
        remeasured: beginnings of the names of what is measured in another way than up to the state it begins with.
        resources: what is closed at the end: its lock, its log.
        advice: how it goes on.
    """

    config: Config
    version: Version
    evaluator: Evaluator
    record: Record
    reporter: Reporter
    stopwatch: Stopwatch
    report: Report | None
    remeasured: frozenset[str]
    resources: ExitStack
    advice: Advice

    @property
    def folder(self) -> Path:
        """Its version folder."""
        return self.record.folder

    @property
    def position(self) -> tuple[int, Path | None, int]:
        """Where it stands: its number, its folder, the steps taken."""
        return self.record.version, self.folder, self.version.step

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.record.status == "running"

    @property
    def selected(self) -> Path:
        """Path of the weights file of the selected epoch."""
        return paths.selected(self.folder, self.record.stem)

    @property
    def state_is_due(self) -> bool:
        """Whether `training.state_every_steps` asks for a state here."""
        every = self.config.training.state_every_steps
        return bool(every) and self.version.step % every == 0

    def begin(self) -> None:
        """Measure the base, the yardstick of what follows, and draw the samples of before."""
        base = self.evaluator.base_metrics()
        self.record.metrics.base = dict(base)
        self.record.write()
        if self.version.step == 0:
            self.reporter.log_images(0, 0)
            self.reporter.trackers.metrics({"epoch": 0, **base}, 0)
        else:
            if anew := {name: value for name, value in base.items() if name.startswith(tuple(self.remeasured))}:
                self.reporter.trackers.metrics({"epoch": 0, **anew}, 0)
            # Of the epochs that are left: a later one may have been chosen before the kill.
            selection.select(self.record, self.config, again=True)
            self.thin_out()
            if self.evaluator.samples.prompts and self.evaluator.samples.epochs():
                self.reporter.write_sheets()
        self.reporter.progress.begin()

    def due(self) -> Due:
        """Return what is to be done at the end of the epoch that is over."""
        version, config = self.version, self.config
        before = version.epochs_at(version.step - 1)  # short epochs can end at one step; they then share its results

        def due(every: int) -> bool:
            return bool(every) and (version.finished or version.epoch // every > before // every)

        return Due(
            save=due(config.training.save_every_epochs),
            sample=due(config.sampling.every_epochs) and self._draws(),
            measure=due(config.evaluation.every_epochs),
        )

    def save_weights(self) -> None:
        """Write the weights file of the epoch that is over.

        Raises:
            UserError: they are no numbers any more.
        """
        try:
            write_epoch_weights(self._weights(), self.version, self.record, now())
        except UserError as error:
            what = f"{error.title} after step {self.version.step}: {error.problems[0]}"
            raise diverged(what, self.version, self.record) from error

    def evaluate(self, due: Due) -> dict[str, float]:
        """Return what is measured of the epoch that is over; draw its samples."""
        weights = self._weights() if due.save else None
        measured = self.evaluator.epoch_metrics(self.version.epoch, weights, measure=due.measure, sample=due.sample)
        return {"train/loss": self.reporter.means.epoch_loss(), **measured}

    def add_epoch(self, metrics: dict[str, float], due: Due) -> None:
        """Record an epoch that is over, select the best so far, and show both.

        Args:
            metrics: as `evaluate` returned them.
            due: what was done of it.
        """
        epoch, step, record = self.version.epoch, self.version.step, self.record
        record.epochs = [*record.epochs, Epoch(epoch, step, self._weights().name if due.save else None, metrics)]
        record.seconds = self.stopwatch.read()
        record.write()
        selection.select(record, self.config)
        if due.sample and self.evaluator.samples.prompts:
            with self.stopwatch("sample"):
                self.reporter.write_sheets()
            self.reporter.log_images(epoch, step)
        self.reporter.log_epoch(metrics)

    def save_state(self) -> None:
        """Save all that is needed to go on from this step."""
        self.version.state.save(self.folder, {"means": self.reporter.means.state()})

    def stop_early(self, metrics: dict[str, float]) -> str | None:
        """Ask whoever gave the job whether to stop after an evaluation; return why, or None to go on."""
        reason = self.report(self.version.step, metrics) if self.report is not None else None
        return None if self.version.finished else reason

    def prune(self, reason: str) -> None:
        """End as pruned, with the weights of this last epoch."""
        last = self.record.epochs[-1]
        if last.file is None:
            self.save_weights()
            last.file = self._weights().name
            selection.select(self.record, self.config)
        self.close("pruned", reason)

    def thin_out(self) -> None:
        """Remove the weights files that `training.keep_epochs` lets go."""
        if (keep := self.config.training.keep_epochs) is not None:
            retention.drop_epochs(self.record, retention.surplus(self.record, keep))

    def interrupt(self) -> None:
        """Save the state of this very step and end as interrupted."""
        self.save_state()
        self.close("interrupted", f"stopped by the user after step {self.version.step}")

    def abandon(self) -> None:
        """End as interrupted without saving anything more; the last saved state is whole."""
        if self.running:
            reason = f"stopped at once in step {self.version.step + 1}: it goes on from its last saved state"
            self.record.status, self.record.reason, self.record.finished = "interrupted", reason, now()
            self.record.write()

    def complete(self) -> None:
        """End as complete: every planned step is done."""
        if self.config.network.type == "full" and self.config.training.diffusers_folder and self.selected.exists():
            folder = paths.diffusers(self.folder, self.record.stem)
            write_diffusers_folder(folder, self.selected, self.config.base_model)
        self.close("complete")

    def fail(self, error: Exception) -> Exception:
        """End as failed, with the reason in the record; return the error as it is told to the user."""
        explanation = explained(error, self.advice, self.version, self.stopwatch.failed)
        # What failed once may fail here too: on a full disk the record does not fit either, and the one of the last
        # epoch is still there, whole. The first error is the one to tell.
        with suppress(Exception):
            self.close("failed", str(explanation).strip() or type(explanation).__name__)
        self.record.status = "failed"
        return explanation

    def close(self, status: Status, reason: str | None = None) -> None:
        """End the version: record, curves, best weights to the trackers; every earlier file of weights stays."""
        record, chosen = self.record, self.record.selected
        summary = chosen.metrics if chosen else {}
        record.status, record.reason = status, reason
        record.objective.value = parse_goal(self.config.objective, self.config.allow_code).value(summary)
        record.metrics.selected = summary
        record.seconds, record.finished = self.stopwatch.read(), now()
        record.write()
        if record.epochs:
            self.reporter.draw_curves()
        if chosen and self.selected.exists():
            aliases = [f"v{record.version}", "latest"]
            if record.trial is None:  # of a study's versions only the winner is the best (`mark_best`)
                aliases.append("best")
            self.reporter.trackers.weights(self.selected, aliases, {"epoch": chosen.epoch, **chosen.metrics})
        self.reporter.trackers.finish(status, summary)
        if status in retention.ENDED and not self.config.training.keep_state:
            retention.drop_state(self.folder)

    def release(self) -> None:
        """Close what was held open; safe after any ending."""
        self.reporter.trackers.finish(self.record.status, {})  # where a full disk kept `close` from it
        self.reporter.progress.close()
        self.resources.close()

    def _weights(self) -> Path:
        return paths.weights(self.folder, self.record.stem, self.version.epoch)

    def _draws(self) -> bool:
        """Whether the budget of measuring has images for the epoch that is over; without prompts nothing is drawn."""
        return self.config.evaluation.budget is None or self.version.epoch in self.evaluator.sampled
