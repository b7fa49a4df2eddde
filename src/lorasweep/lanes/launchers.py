"""Lanes of Hydra's own launchers: in this process, or wherever a launcher puts whole batches."""

from __future__ import annotations

from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf, open_dict

from lorasweep.interruption import EXIT_CODES
from lorasweep.lanes.tracebacks import formatted
from lorasweep.lanes.work import Ended, Work, failure_reason, job_ended, job_failed, show_trace
from lorasweep.text.grammar import quoted


class OneAfterAnother:
    """One lane, this process: what the app has loaded stays loaded from one trial to the next.

    `wait` runs the work. An interruption of this process (KeyboardInterrupt, or the task's SystemExit with a signal's
    exit code) passes through it; the work counts as ended.
    """

    capacity = 1

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._work: Work | None = None

    def start(self, work: Work) -> None:
        """Remember `work` for the next `wait`."""
        if self._work is not None:
            raise RuntimeError("one lane runs one piece of work at a time")
        self._work = work

    def wait(self, seconds: float) -> list[Ended]:
        """Run what was started, to its end: `seconds` cannot cut it short.

        Raises:
            KeyboardInterrupt, SystemExit: this process was interrupted.
        """
        work, self._work = self._work, None
        if work is None:
            return []
        try:
            (returned,) = self._launcher.launch([list(work.overrides)], work.number)
        except SystemExit as leaving:
            if leaving.code in EXIT_CODES:
                raise
            return [Ended(work.number, error=failure_reason(leaving), trace=formatted(leaving))]
        except Exception as error:  # the job could not even be composed
            return [job_failed(work.number, error)]
        return [job_ended(work.number, returned)]

    def stop(self) -> None:
        """Drop what has not begun; nothing can be running while this is called."""
        self._work = None

    def close(self) -> None:
        """Nothing to give back."""


class Batches:
    """Lanes of a launcher that only knows batches (joblib, ray …).

    `wait` launches all that was started and returns when the last of it has ended, so the slowest job of a batch
    holds up the others. The launcher's own settings say how many of a batch run at the same time.
    """

    def __init__(self, launcher: Launcher, n_jobs: int) -> None:
        self.capacity = n_jobs
        self._launcher = launcher
        self._started: list[Work] = []

    def start(self, work: Work) -> None:
        """Add `work` to the next batch."""
        if len(self._started) == self.capacity:
            raise RuntimeError(f"a batch has {self.capacity} jobs")
        self._started.append(work)

    def wait(self, seconds: float) -> list[Ended]:
        """Launch what was started and wait for all of it: `seconds` cannot cut it short.

        Raises:
            KeyboardInterrupt, SystemExit: this process was interrupted; what the launcher had begun is its affair.
        """
        batch, self._started = sorted(self._started, key=lambda work: work.number), []
        if not batch:
            return []
        try:
            returned = self._launcher.launch(self._overrides(batch), batch[0].number)
        except Exception as error:  # of one job or of the launcher: it does not say what became of the others
            show_trace(error)
            reason = f"{type(self._launcher).__name__} failed: {failure_reason(error)}"
            return [Ended(work.number, error=reason, crashed=True) for work in batch]
        return [job_ended(work.number, job) for work, job in zip(batch, returned, strict=True)]

    def stop(self) -> None:
        """Drop what has not begun; nothing can be running while this is called."""
        self._started = []

    def close(self) -> None:
        """Nothing to give back."""

    def _overrides(self, batch: list[Work]) -> list[list[str]]:
        """Each job's overrides; where the launcher would count its number wrongly, its folder is named outright.

        A launcher numbers the jobs of a batch without gaps, and a job's folder follows from its number: after a gap
        (another sweeper has taken the numbers between) it would write into another trial's folder.
        """
        overrides = [list(work.overrides) for work in batch]
        for index, work in enumerate(batch):
            if work.number != batch[0].number + index:
                overrides[index].append(f"hydra.sweep.subdir={quoted(self._subdir(work))}")
        return overrides

    def _subdir(self, work: Work) -> str:
        launcher: Any = self._launcher  # every launcher keeps what it was set up with under these names
        config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(work.overrides))
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(work.number), work.number
        before = HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)
            return str(OmegaConf.select(config, "hydra.sweep.subdir"))
        finally:
            HydraConfig.instance().cfg = before
