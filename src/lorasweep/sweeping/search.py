"""The loop of a search: ask, start, wait, settle, until the budget is used up.

In steady state: a lane that is free takes the next trial at once. Every result is told by the job itself; the loop
only settles what a job could not tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from lorasweep.errors import UserError
from lorasweep.sweeping import study as studies
from lorasweep.sweeping.database import read_once
from lorasweep.sweeping.identity import Identity
from lorasweep.sweeping.job import attached
from lorasweep.sweeping.lanes import Ended, Lanes, Work
from lorasweep.sweeping.lease import LeaseKeeper
from lorasweep.sweeping.settings import Settings

REAP_S = 5.0
"""Seconds between two looks for trials whose process is gone."""

POLL_S = 1.0
"""Seconds between two looks at trials that other processes run."""


class Teller(Protocol):
    """Who is told how the search goes: the live table."""

    def finished(self, trial: FrozenTrial) -> None:
        """Hear about a trial that has ended."""

    def say(self, line: str) -> None:
        """Print a line."""


@dataclass
class Search:
    """One sweeper's part in a study.

    Attributes:
        study: opened with its sampler and pruner. url: where it is kept. settings: the sweeper's.
        lanes: where trials run. teller: who is told.
        next_trial: asks for the next trial; None when there is nothing more to start (for now).
        overrides: a trial's overrides without its identity.
        prunes: whether trials may be pruned.
    """

    study: optuna.Study
    url: str
    settings: Settings
    lanes: Lanes
    teller: Teller
    next_trial: Callable[[], optuna.Trial | None]
    overrides: Callable[[optuna.Trial], Sequence[str]]
    prunes: bool
    stopped: str | None = None
    _running: dict[int, int] = field(default_factory=dict)  # number -> trial id
    _began: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)
    _failed: bool = True  # whether a trial has failed since failures were last counted; earlier ones may have, too

    def __post_init__(self) -> None:
        """Keep samplers from stopping the study: Optuna knows that in its own loop only, and raises elsewhere."""
        self.study.stop = lambda: None  # type: ignore[method-assign]  # `next_trial` knows when a grid is done

    def run(self) -> None:
        """Run trials until there are no more to start and none is running, here or in another process.

        Raises:
            UserError: more trials failed than `max_failure_rate` allows.
            KeyboardInterrupt, SystemExit: interrupted; what ran has saved its state and is queued again.
        """
        for line in studies.reap(self.study, self.settings, self._running):
            self.teller.say(line)
        studies.requeue(self.study, self.settings)
        keeper = LeaseKeeper(self.study._storage, self.settings.lease_s)
        try:
            with attached(self.url, self.study):
                while True:
                    self._start_what_fits(keeper)
                    if self._running:
                        for ended in self.lanes.wait(POLL_S):
                            self._settle(ended, keeper)
                    elif self._others_run():
                        time.sleep(POLL_S)
                    else:
                        break
                    self._reap_now_and_then()
        except (KeyboardInterrupt, SystemExit):
            self._interrupt(keeper)
            raise
        finally:
            keeper.close()
        if self._too_many_failures():
            raise UserError(self._failures_in_words(), title=f"Study {self.study.study_name} stopped")

    def _start_what_fits(self, keeper: LeaseKeeper) -> None:
        while len(self._running) < self.lanes.capacity and self._goes_on():
            with read_once(self.study._storage):
                trial = self.next_trial()
            if trial is None:
                return
            keeper.take(trial._trial_id)
            identity = Identity(
                storage=self.url,
                study=self.study.study_name,
                trial_id=trial._trial_id,
                number=trial.number,
                pruner=self.settings.pruner if self.prunes else None,
                lease_s=self.settings.lease_s,
                constraints=tuple(self.settings.constraints),
                artifacts=str(Path(self.settings.folder).absolute() / "artifacts"),
            )
            self._running[trial.number] = trial._trial_id
            self.lanes.start(Work(trial.number, (*self.overrides(trial), identity.override())))

    def _reap_now_and_then(self) -> None:
        """Look for dead trials, but not between any two trials: each look reads the study."""
        if time.monotonic() - self._looked > REAP_S:
            self._looked = time.monotonic()
            for line in studies.reap(self.study, self.settings, self._running):
                self.teller.say(line)

    def _goes_on(self) -> bool:
        """Return whether new trials may be started."""
        timeout = self.settings.timeout
        if self.stopped is None and timeout is not None and time.monotonic() - self._began > timeout:
            self.stop(f"the timeout of {timeout:g} s is over")
        if self.stopped is None and self._failed and self._too_many_failures():
            self.stop(f"more than max_failure_rate={self.settings.max_failure_rate:g} of the trials failed")
        return self.stopped is None

    def stop(self, why: str) -> None:
        """Start no further trials; those that run finish."""
        if self.stopped is None:
            self.stopped = why
            self.teller.say(f"no further trials: {why}")

    def _settle(self, ended: Ended, keeper: LeaseKeeper) -> None:
        trial_id = self._running.pop(ended.number)
        keeper.drop(trial_id)
        if ended.crashed:
            trial = self.study._storage.get_trial(trial_id)
            if not trial.state.is_finished():
                studies.bury(self.study, trial, ended.error or "its lane died", self.settings, interrupted=False)
            told = self.study._storage.get_trial(trial_id)
        else:
            told = self._told(trial_id, ended)
        if told.user_attrs.get("interrupted"):
            studies.requeue(self.study, self.settings)
        self._failed = self._failed or told.state is TrialState.FAIL
        self.teller.finished(told)

    def _told(self, trial_id: int, ended: Ended) -> FrozenTrial:
        """Return the trial as its job told it, or tell it for an app that only returns a number.

        Reading a trial is dear on a server, so it is told without a look first; `Study.tell` would look twice.
        """
        storage, state = self.study._storage, TrialState.COMPLETE
        values = list(ended.value) if isinstance(ended.value, list | tuple) else [ended.value]
        reason = ended.error or self._why_no_result(values, ended.value)
        try:
            if reason is not None:
                state = TrialState.FAIL
                storage.set_trial_user_attr(trial_id, "reason", reason)
            storage.set_trial_state_values(trial_id, state, None if reason else [float(v) for v in values])
        except UpdateFinishedTrialError:  # the job told it itself
            return storage.get_trial(trial_id)
        told = storage.get_trial(trial_id)
        self.study.sampler.after_trial(self.study, told, state, told.values)
        return told

    def _why_no_result(self, values: Sequence[Any], returned: Any) -> str | None:
        if len(values) != len(self.study.directions):
            return f"it returned {returned!r}, not {len(self.study.directions)} number(s)"
        wrong = [v for v in values if not isinstance(v, int | float) or not math.isfinite(v)]
        return f"it returned {', '.join(map(repr, wrong))}, not a finite number" if wrong else None

    def _others_run(self) -> bool:
        """Return whether trials of other processes are still running."""
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def _too_many_failures(self) -> bool:
        self._failed = False
        failed = studies.failures(self.study.get_trials(deepcopy=False))
        return len(failed) > self.settings.max_failure_rate * self.settings.n_trials

    def _failures_in_words(self) -> list[str]:
        failed = studies.failures(self.study.get_trials(deepcopy=False))
        return [
            f"{len(failed)} trials failed, more than hydra.sweeper.max_failure_rate={self.settings.max_failure_rate:g}"
            f" of n_trials={self.settings.n_trials} allows",
            *(f"trial {trial.number}: {trial.user_attrs.get('reason', 'no reason known')}" for trial in failed[-5:]),
        ]

    def _interrupt(self, keeper: LeaseKeeper) -> None:
        """Let what runs save its state and leave, then queue it again."""
        self.lanes.stop()
        for ended in self.lanes.wait(0):
            self._running.pop(ended.number, None)
        for trial in self.study.get_trials(deepcopy=False):
            mine = trial._trial_id in self._running.values() or trial.number in self._running
            if mine and not trial.state.is_finished():
                studies.bury(self.study, trial, "interrupted", self.settings, interrupted=True)
        studies.requeue(self.study, self.settings)
