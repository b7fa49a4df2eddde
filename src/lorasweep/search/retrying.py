"""Trials that could not end themselves: found, ended for them, and queued again where that may help."""

from __future__ import annotations

import time
from collections.abc import Container
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from lorasweep.search.budget import INTERRUPTED, LOST, ORPHANED, RETRY_OF, deaths, failures, retried
from lorasweep.search.lease import why_stale
from lorasweep.search.optuna_internals import FIXED_PARAMS, storage_of, study_id_of, trial_id_of
from lorasweep.search.settings import Settings

STOPPED_BY = "stopped_by"
"""Attribute of a study that was stopped because too much had failed: the numbers of what had."""
COPIED = ("stage", "of", "index", "extra")
"""What a trial of the finals is there for; its follower is there for the same."""


def mark_dead(
    study: optuna.Study, trial: FrozenTrial, reason: str, settings: Settings, *, lost: str | None = None
) -> str:
    """End a trial whose job can no longer do so itself, and queue its retry if it has one left.

    Several sweepers may try at once: the first one wins.

    Args:
        study: its study.
        trial: as last seen.
        reason: why it ended.
        settings: the sweeper's.
        lost: how it was lost, as `budget` has it; None where it was asked to stop, which costs no retry.

    Returns:
        What was done, in words; "" if somebody else had been faster.
    """
    storage, trial_id = storage_of(study), trial_id_of(trial)
    try:
        storage.set_trial_user_attr(trial_id, "reason", reason)
        storage.set_trial_user_attr(trial_id, LOST if lost else INTERRUPTED, lost or True)
        if not storage.set_trial_state_values(trial_id, TrialState.FAIL, None):
            return ""
    except UpdateFinishedTrialError:
        return ""
    again = requeue(study, settings).get(trial.number)
    return f"trial {trial.number}: {reason}" + (f"; it goes on as trial {again}" if again is not None else "")


def requeue(study: optuna.Study, settings: Settings) -> dict[int, int]:
    """Queue every interrupted or lost trial that has no follower yet, to be continued from its last state.

    An exception in the job, a NaN or a full memory would only come again: such trials stay failed.

    Returns:
        The numbers of the trials that were queued again, each with its follower's.
    """
    trials = study.get_trials(deepcopy=False)
    followed = retried(trials)
    return {
        trial.number: _follow(study, trial)
        for trial in trials
        if trial.state is TrialState.FAIL and trial.number not in followed and _goes_on(trials, trial, settings)
    }


def reap(study: optuna.Study, settings: Settings, mine: Container[int]) -> list[str]:
    """End every running trial whose holder is dead, except those of `mine` (by number); return what was done."""
    done = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        reason = None if trial.number in mine else why_stale(trial, settings.lease_s, time.time())
        if reason is not None:
            done.append(mark_dead(study, trial, f"it stopped: {reason}", settings, lost=ORPHANED))
    return [line for line in done if line]


def revive(study: optuna.Study, settings: Settings) -> str | None:
    """Queue again all that failed, where so much had failed that the study was stopped: its cause may be gone.

    Returns:
        What was done, in words; None where there was nothing to do.
    """
    failed = failures(study.get_trials(deepcopy=False))
    stopped_by = study.user_attrs.get(STOPPED_BY)
    if stopped_by is not None:
        failed = [trial for trial in failed if trial.number in stopped_by]
        study.set_user_attr(STOPPED_BY, None)
    elif len(failed) <= settings.max_failure_rate * settings.n_trials:
        return None
    if not failed:
        return None
    for trial in failed:
        _follow(study, trial)
    reason = failed[-1].user_attrs.get("reason", "no reason known")
    return f"{len(failed)} trials had failed, which stopped the study; they are tried again (the last: {reason})"


def _goes_on(trials: list[FrozenTrial], trial: FrozenTrial, settings: Settings) -> bool:
    """Return whether a failed trial is continued."""
    if trial.user_attrs.get(INTERRUPTED):
        return True
    lost = trial.user_attrs.get(LOST)
    return bool(lost) and settings.retries > 0 and (lost == ORPHANED or deaths(trials, trial) <= settings.retries)


def _follow(study: optuna.Study, trial: FrozenTrial) -> int:
    """Queue a trial that goes on with another one, and return its number."""
    kept: dict[str, Any] = {key: trial.user_attrs[key] for key in COPIED if key in trial.user_attrs}
    follower = optuna.trial.create_trial(
        state=TrialState.WAITING,
        system_attrs={FIXED_PARAMS: dict(trial.params)},
        user_attrs=kept | {RETRY_OF: trial.number},
    )
    storage = storage_of(study)
    return storage.get_trial(storage.create_new_trial(study_id_of(study), template_trial=follower)).number
