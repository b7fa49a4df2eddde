"""The loop of a search: ask, start, wait, settle, until the budget is used up.

In steady state: a lane that is free takes the next trial at once. A job reports its result itself; the loop
only ends what a job could not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from lorasweep.errors import UserError
from lorasweep.lanes.work import Ended, Lanes, Work
from lorasweep.search.budget import DIED, INTERRUPTED, KILLED, failures, spent
from lorasweep.search.constraint import SECONDS, constrain
from lorasweep.search.identity import TrialIdentity
from lorasweep.search.job import attached
from lorasweep.search.lease import LEASE, LeaseKeeper, holder
from lorasweep.search.location import StudyLocation
from lorasweep.search.optuna_internals import read_once, storage_of, trial_id_of
from lorasweep.search.plain import as_numbers
from lorasweep.search.report import Observer
from lorasweep.search.retrying import STOPPED_BY, mark_dead, reap, requeue
from lorasweep.search.settings import Settings
from lorasweep.search.traces import trace_path, write_trace

REAP_S = 5.0
"""Seconds between two looks for trials whose process is gone."""

POLL_S = 1.0
"""Seconds between two looks at trials that other processes run."""


@dataclass
class Search:
    """One sweeper's part in a study.

    Attributes:
        study: opened with its sampler and pruner.
        location: where it is.
        settings: the sweeper's.
        lanes: where trials run.
        observer: who follows the search.
        next_trial: asks for the next trial; None when there is nothing more to start (for now).
        overrides: a trial's overrides without its identity.
        budget: how many trials there are to be in all.
        prunes: whether trials may be pruned.
        stopped: why no further trials are started; None as long as some are.
        timed_out: whether that is because the time was over.
    """

    study: optuna.Study
    location: StudyLocation
    settings: Settings
    lanes: Lanes
    observer: Observer
    next_trial: Callable[[], optuna.Trial | None]
    overrides: Callable[[optuna.Trial], Sequence[str]]
    budget: int
    prunes: bool
    stopped: str | None = None
    timed_out: bool = False
    _running: dict[int, int] = field(default_factory=dict)  # number -> trial id
    _began: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)
    _failed: bool = False  # whether a trial has failed since failures were last counted
    _before: frozenset[int] = frozenset()  # the numbers of those that had failed before this run
    _left: int = 0  # trials of the budget that this run may still end

    def run(self) -> None:
        """Run trials until there are no more to start and none is running, here or in another process.

        Raises:
            UserError: no trial can be asked for; or more failed than `max_failure_rate` allows, which the next run
                tries again.
            KeyboardInterrupt, SystemExit: interrupted; what ran has saved its state and is queued again.
        """
        for line in reap(self.study, self.settings, self._running):
            self.observer.print_line(line)
        requeue(self.study, self.settings)
        trials = self.study.get_trials(deepcopy=False)
        self._before = frozenset(trial.number for trial in failures(trials))
        self._left = self.budget - len(spent(trials))
        keeper = LeaseKeeper(storage_of(self.study), self.settings.lease_s)
        try:
            with attached(self.location.redacted_url, self.study):
                self._loop(keeper)
        except (KeyboardInterrupt, SystemExit, UserError):
            self._interrupt()
            raise
        finally:
            keeper.close()
        failed = self._failures()
        if self._too_many(failed):
            self.study.set_user_attr(STOPPED_BY, [trial.number for trial in failed])
            raise UserError(self._in_words(failed), title=f"Study {self.study.study_name} stopped")

    def _loop(self, keeper: LeaseKeeper) -> None:
        waits = False
        while True:
            self._start_what_fits(keeper)
            if self._running:
                for ended in self.lanes.wait(POLL_S):
                    self._settle(ended, keeper)
            elif others := self._others():
                if not waits:
                    self.observer.print_line(f"waiting for {others}")
                waits = True
                time.sleep(POLL_S)
            else:
                return
            self._reap_now_and_then()

    def _start_what_fits(self, keeper: LeaseKeeper) -> None:
        while len(self._running) < self.lanes.capacity and self._goes_on():
            with read_once(storage_of(self.study)):
                trial = self.next_trial()
            if trial is None:
                return
            trial_id = trial_id_of(trial)
            keeper.take(trial_id)
            identity = TrialIdentity(
                storage=self.location.redacted_url,
                study=self.study.study_name,
                trial_id=trial_id,
                number=trial.number,
                pruner=self.settings.pruner if self.prunes else None,
                lease_s=self.settings.lease_s,
                constraints=tuple(self.settings.constraints),
                folder=str(self.location.folder.absolute()),
            )
            self._running[trial.number] = trial_id
            hidden = identity.override()
            self.lanes.start(Work(trial.number, (*self.overrides(trial), hidden), hidden=(hidden,)))

    def _reap_now_and_then(self) -> None:
        """Look for dead trials, but not between any two trials: each look reads the study."""
        if time.monotonic() - self._looked > REAP_S:
            self._looked = time.monotonic()
            for line in reap(self.study, self.settings, self._running):
                self.observer.print_line(line)

    def _goes_on(self) -> bool:
        """Return whether new trials may be started."""
        timeout = self.settings.timeout
        if self.stopped is None and timeout is not None and time.monotonic() - self._began > timeout:
            self.timed_out = True
            self.stop(f"the timeout of {timeout:g} s is over")
        if self.stopped is None and self._failed and self._too_many(self._failures()):
            self.stop(f"more than max_failure_rate={self.settings.max_failure_rate:g} of the trials failed")
        return self.stopped is None

    def stop(self, why: str) -> None:
        """Start no further trials; those that run finish."""
        if self.stopped is None:
            self.stopped = why
            self.observer.print_line(f"no further trials: {why}")

    def _settle(self, ended: Ended, keeper: LeaseKeeper) -> None:
        trial_id = self._running.pop(ended.number)
        keeper.drop(trial_id)
        if ended.trace is not None:
            write_trace(self.location.folder, self.study.study_name, ended.number, ended.trace)
        lost = ended.crashed or ended.outside
        trial = self._end_lost(trial_id, ended) if lost else self._end_returned(trial_id, ended)
        if trial.user_attrs.get(INTERRUPTED):
            requeue(self.study, self.settings)
        self._failed = self._failed or trial.state is TrialState.FAIL
        self.observer.finished(trial)

    def _end_lost(self, trial_id: int, ended: Ended) -> FrozenTrial:
        """Return a trial whose lane died, or that was asked to stop: as its job ended it, or ended for it."""
        storage = storage_of(self.study)
        trial = storage.get_trial(trial_id)
        if not trial.state.is_finished():
            lost = None if not ended.crashed else KILLED if ended.outside else DIED
            mark_dead(self.study, trial, ended.error or "its lane died", self.settings, lost=lost)
        return storage.get_trial(trial_id)

    def _end_returned(self, trial_id: int, ended: Ended) -> FrozenTrial:
        """Return the trial as its job ended it, or end it for an app that only returns a number.

        Reading a trial is expensive on a server, so it is ended without reading it first; `Study.tell` reads it twice.
        """
        storage, state = storage_of(self.study), TrialState.COMPLETE
        values, reason = self._result(ended)
        try:
            if reason is None and self.settings.constraints:
                reason = self._constrain(trial_id)
            if reason is not None:
                state, values = TrialState.FAIL, None
                storage.set_trial_user_attr(trial_id, "reason", reason)
            storage.set_trial_state_values(trial_id, state, values)
        except UpdateFinishedTrialError:  # the job ended it itself
            return storage.get_trial(trial_id)
        trial = storage.get_trial(trial_id)
        self.study.sampler.after_trial(self.study, trial, state, trial.values)
        return trial

    def _constrain(self, trial_id: int) -> str | None:
        """Set the constraints of a trial whose job did not do so; return what was not measured, if anything."""
        known = storage_of(self.study).get_trial(trial_id)
        if known.state.is_finished() or known.datetime_start is None:
            return None
        took = (datetime.now() - known.datetime_start).total_seconds()
        metrics = {SECONDS: took} | known.user_attrs.get("metrics", {})
        return constrain(optuna.trial.Trial(self.study, trial_id), self.settings.constraints, metrics)

    def _result(self, ended: Ended) -> tuple[list[float] | None, str | None]:
        """Return the values of a job that ended, or why it has none."""
        if ended.error is not None:
            return None, ended.error
        try:
            values = as_numbers(ended.value, len(self.study.directions))
        except ValueError as error:
            return None, str(error)
        wrong = [value for value in values if not math.isfinite(value)]
        return (None, f"it returned {', '.join(map(str, wrong))}, not a finite number") if wrong else (values, None)

    def _others(self) -> str | None:
        """Return in words which trials other processes run; None if there are none."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        leases = [(trial.number, trial.user_attrs.get(LEASE)) for trial in running]
        words = [f"trial {number}" + (f" ({holder(lease)})" if lease else "") for number, lease in leases]
        return ", ".join(words) or None

    def _failures(self) -> list[FrozenTrial]:
        """Return the trials that failed in this run."""
        self._failed = False
        found = failures(self.study.get_trials(deepcopy=False))
        return [trial for trial in found if trial.number not in self._before]

    def _too_many(self, failed: Sequence[FrozenTrial]) -> bool:
        return len(failed) > self.settings.max_failure_rate * self._left

    def _in_words(self, failed: Sequence[FrozenTrial]) -> list[str]:
        lines = [
            f"{len(failed)} trials failed, more than hydra.sweeper.max_failure_rate={self.settings.max_failure_rate:g} "
            f"of {self._left} allows; once the cause is put right, the same command tries them again"
        ]
        for trial in failed[-5:]:
            trace = trace_path(self.location.folder, self.study.study_name, trial.number)
            where = f"; traceback in {trace}" if trace.exists() else ""
            lines.append(f"trial {trial.number}: {trial.user_attrs.get('reason', 'no reason known')}{where}")
        return lines

    def _interrupt(self) -> None:
        """Let what runs save its state and leave, then queue it again."""
        self.lanes.stop()
        self.lanes.wait(0)
        for trial_id in self._running.values():
            trial = storage_of(self.study).get_trial(trial_id)
            if not trial.state.is_finished():
                mark_dead(self.study, trial, "interrupted", self.settings)
        requeue(self.study, self.settings)
