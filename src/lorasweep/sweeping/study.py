"""The study and its bookkeeping: opening or resuming it, what counts, what is retried, who is dead."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from lorasweep.errors import UserError
from lorasweep.sweeping import choices
from lorasweep.sweeping.lease import dead
from lorasweep.sweeping.settings import Settings
from lorasweep.sweeping.space import Space
from lorasweep.sweeping.storage import open_storage, shown

FINALS = ":finals"
"""What the name of the study of repeats and folds ends in."""

REPEATABLE = ("hydra.", "sweeps=")
"""Overrides that may change when a study is resumed: they say how to search, not what is trained."""


def open_study(settings: Settings, name: str, space: Space, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Open the study `name`, or begin it.

    Raises:
        UserError: a study of that name exists, but with other objectives, other fixed overrides or another kind of
            space, so that its trials would not compare.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = {summary.study_name for summary in optuna.get_all_study_summaries(storage, include_best_trial=False)}
    so_far = len(optuna.load_study(study_name=name, storage=storage).trials) if name in known else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            load_if_exists=True,
            directions=settings.directions if name not in known else None,
            sampler=choices.sampler(settings.sampler, space, settings.directions, so_far),
            pruner=choices.build(settings.pruner),
        )
    _check_same(study, settings, space, name)
    if settings.metric_names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(settings.metric_names)
    study.set_user_attr("space", space.describe())
    study.set_user_attr("fixed", _lasting(space.fixed))
    study.set_user_attr("tie_breakers", settings.tie_breakers)
    study.set_user_attr("folder", settings.folder)
    return study


def open_finals(settings: Settings, name: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Open the study of a study's repeats and folds; nothing is drawn or pruned in it."""
    return optuna.create_study(
        study_name=name + FINALS,
        storage=storage,
        load_if_exists=True,
        directions=settings.directions,
        sampler=RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )


def load_finals(name: str, storage: optuna.storages.BaseStorage) -> optuna.Study | None:
    """Return the study of repeats and folds if there is one."""
    try:
        return optuna.load_study(study_name=name + FINALS, storage=storage, sampler=RandomSampler())
    except KeyError:
        return None


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that use up the budget: finished ones, unless a retry stands in for them."""
    replaced = retried(trials)
    return [t for t in trials if t.state.is_finished() and t.number not in replaced]


def retried(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """Return which trial each retried one was retried as: number -> number."""
    return {t.user_attrs["retry_of"]: t.number for t in trials if "retry_of" in t.user_attrs}


def failures(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that failed for good; an interrupted one is only waiting to be continued."""
    return [t for t in counted(trials) if t.state is TrialState.FAIL and not t.user_attrs.get("interrupted")]


def bury(study: optuna.Study, trial: FrozenTrial, reason: str, settings: Settings, *, interrupted: bool) -> str:
    """End a trial whose job can no longer do so itself, and queue its retry if it has one left.

    Several sweepers may try at once: the first one wins.

    Args:
        study: its study. trial: as last seen. reason: why it ended. interrupted: an interruption costs no retry.

    Returns:
        What was done, in words; "" if somebody else had been faster.
    """
    storage = study._storage
    try:
        storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        storage.set_trial_user_attr(trial._trial_id, "interrupted" if interrupted else "lost", True)
        if not storage.set_trial_state_values(trial._trial_id, TrialState.FAIL, None):
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
    followed, queued = retried(trials), {}
    for trial in trials:
        interrupted, lost = trial.user_attrs.get("interrupted"), trial.user_attrs.get("lost")
        if trial.state is not TrialState.FAIL or trial.number in followed or not (interrupted or lost):
            continue
        attempt = int(trial.user_attrs.get("attempt", 0)) + (0 if interrupted else 1)
        if attempt > settings.retries:
            continue
        kept = {key: trial.user_attrs[key] for key in ("stage", "of", "index", "extra") if key in trial.user_attrs}
        follower = optuna.trial.create_trial(
            state=TrialState.WAITING,
            system_attrs={"fixed_params": dict(trial.params)},
            user_attrs=kept | {"retry_of": trial.number, "attempt": attempt},
        )
        new = study._storage.create_new_trial(study._study_id, template_trial=follower)
        queued[trial.number] = study._storage.get_trial(new).number
    return queued


def reap(study: optuna.Study, settings: Settings, mine: Mapping[int, Any]) -> list[str]:
    """Bury every running trial whose holder is dead, except those of `mine` (by number); return what was done."""
    told = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number in mine:
            continue
        reason = dead(trial, settings.lease_s, time.time())
        if reason is not None:
            told.append(bury(study, trial, f"it stopped: {reason}", settings, interrupted=False))
    return [line for line in told if line]


def _check_same(study: optuna.Study, settings: Settings, space: Space, name: str) -> None:
    problems = []
    begun = [direction.name.lower() for direction in study.directions]
    if begun != settings.directions:
        problems.append(f"it was begun with direction {begun}; you give {settings.directions}")
    fixed = study.user_attrs.get("fixed")
    if fixed is not None and fixed != _lasting(space.fixed):
        problems.append(f"its trials were trained with {' '.join(fixed) or 'no overrides'}; "
                        f"you give {' '.join(_lasting(space.fixed)) or 'none'}")  # fmt: skip
    before = study.user_attrs.get("space")
    if before is not None and set(before) != set(space.describe()):
        problems.append(f"it searches {', '.join(before)}; you search {', '.join(space.describe())}")
    if problems:
        again = "give the same ones to go on with it, or begin another with hydra.sweeper.study_name=..."
        raise UserError([f"{problem}: {again}" for problem in problems], title=f"Study {name} cannot be resumed so")


def _lasting(fixed: Sequence[str]) -> list[str]:
    return sorted(text for text in fixed if not text.lstrip("+~").startswith(REPEATABLE))


def storage_of(settings: Settings) -> optuna.storages.BaseStorage:
    """Open the storage of the settings."""
    return open_storage(settings.url)


def where(settings: Settings) -> str:
    """Return the storage's URL for people, without a password."""
    return shown(settings.url)
