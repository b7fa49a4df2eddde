"""What counts of a study's trials: towards the budget, as failures, as tried; and how often one has died."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from lorasweep.search.optuna_internals import FIXED_PARAMS

INTERRUPTED = "interrupted"
"""Attribute of a trial that was asked to stop: it waits to be continued."""
LOST = "lost"
"""Attribute of a trial that could not tell how it ended: how it was lost, one of the three below."""
DIED = "its process died"
KILLED = "its process was killed"
ORPHANED = "its search was killed"
RETRY_OF = "retry_of"
"""Attribute of a trial that goes on with another one: that one's number."""


def spent(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that use up the budget: finished ones, unless a retry stands in for them."""
    replaced = retried(trials)
    return [t for t in trials if t.state.is_finished() and t.number not in replaced]


def retried(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """Return which trial each retried one was retried as: number -> number."""
    return {t.user_attrs[RETRY_OF]: t.number for t in trials if RETRY_OF in t.user_attrs}


def failures(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that failed for good and by themselves.

    An interrupted one is only waiting to be continued; one that was killed from outside says nothing of its parameters.
    """
    outside = (KILLED, ORPHANED)
    return [
        trial
        for trial in spent(trials)
        if trial.state is TrialState.FAIL
        and not trial.user_attrs.get(INTERRUPTED)
        and trial.user_attrs.get(LOST) not in outside
    ]


def tried(trials: Iterable[FrozenTrial]) -> set[tuple[tuple[str, Any], ...]]:
    """Return the parameters of all trials, those that wait included: (name, value) in the order of the names."""
    return {tuple(sorted((trial.system_attrs.get(FIXED_PARAMS, {}) | trial.params).items())) for trial in trials}


def deaths(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> int:
    """Return how often in a row a trial's attempts were lost without one of them getting further than the one before.

    An attempt that had to go because its search was killed does not count.

    Args:
        trials: all of the study's, by number.
        trial: the last attempt so far.
    """
    count = 0
    while True:
        count += trial.user_attrs.get(LOST) in (True, DIED, KILLED)  # True: as earlier versions wrote it
        before = trials[trial.user_attrs[RETRY_OF]] if RETRY_OF in trial.user_attrs else None
        if before is None or _reached(trial) > _reached(before):
            return count
        trial = before


def _reached(trial: FrozenTrial) -> float:
    """Return the last step that a trial reported."""
    return -math.inf if trial.last_step is None else trial.last_step
