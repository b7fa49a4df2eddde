"""A study whose space has changed: its trials are written again with the new distributions, where their values fit.

Optuna keeps a parameter's choices, its kind and its scale as the first trial had them, and numbers choices by their
place. So the whole study is copied under another name and back. Cut off anywhere, it is finished at the next opening.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from lorasweep.errors import UserError
from lorasweep.search.distributions import as_stored, contains, in_words
from lorasweep.search.lease import holder, why_stale
from lorasweep.search.optuna_internals import FIXED_PARAMS
from lorasweep.search.settings import SPARE
from lorasweep.text.grammar import element

WHOLE = "whole"
"""The copy's attribute that says that all of the study is in it."""


def change_space(storage: BaseStorage, name: str, new: Mapping[str, BaseDistribution], lease_s: float) -> None:
    """Let every trial of a study have the new distribution of each parameter.

    Args:
        storage: where the study is.
        name: its name; nothing is done where there is no such study, or where it has these distributions.
        new: distributions by parameter.
        lease_s: seconds that a lease lasts.

    Raises:
        UserError: a trial has a value that the new space has not, or one is running.
    """
    _finish(storage, name)
    study_id = _id(storage, name)
    trials = [] if study_id is None else storage.get_all_trials(study_id, deepcopy=False)
    changed, problems = {}, []
    running = list(_at_work(trials, lease_s))
    for key, value in new.items():
        before = [trial for trial in trials if trial.distributions.get(key, value) != value]
        allowed = all(_compatible(trial.distributions[key], value) for trial in before)
        wrong = [*_misfits(key, value, trials), *running]
        if before and not wrong:
            changed[key] = value
        elif before and not allowed:  # else Optuna takes the new ends beside the old ones
            problems += wrong
    if problems:
        raise UserError(list(dict.fromkeys(problems)), title=f"Study {name} cannot be resumed so")
    if changed:
        _copy(storage, name, name + SPARE, changed)
        storage.set_study_user_attr(storage.get_study_id_from_name(name + SPARE), WHOLE, True)
        _finish(storage, name)


def _finish(storage: BaseStorage, name: str) -> None:
    """Put the copy in the place of the study if it is whole, else drop it."""
    spare = _id(storage, name + SPARE)
    if spare is None:
        return
    if storage.get_study_user_attrs(spare).get(WHOLE):
        old = _id(storage, name)
        if old is not None:
            storage.delete_study(old)
        _copy(storage, name + SPARE, name, {})
    storage.delete_study(spare)


def _copy(storage: BaseStorage, source: str, target: str, changed: Mapping[str, BaseDistribution]) -> None:
    study_id = storage.get_study_id_from_name(source)
    copy = storage.create_new_study(storage.get_study_directions(study_id), target)
    for key, value in storage.get_study_system_attrs(study_id).items():
        storage.set_study_system_attr(copy, key, value)
    for key, value in storage.get_study_user_attrs(study_id).items():
        if key != WHOLE:
            storage.set_study_user_attr(copy, key, value)
    for trial in storage.get_all_trials(study_id):
        if FIXED_PARAMS in trial.system_attrs:
            trial.system_attrs[FIXED_PARAMS] = _stored(trial.system_attrs[FIXED_PARAMS], changed)
        trial.params = _stored(trial.params, changed)
        trial.distributions = {key: changed.get(key, old) for key, old in trial.distributions.items()}
        storage.create_new_trial(copy, template_trial=trial)


def _stored(params: Mapping[str, Any], changed: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {key: as_stored(changed.get(key), value) for key, value in params.items()}


def _compatible(old: BaseDistribution, new: BaseDistribution) -> bool:
    """Return whether Optuna takes both for the same parameter."""
    try:
        check_distribution_compatibility(old, new)
    except ValueError:
        return False
    return True


def _misfits(key: str, new: BaseDistribution, trials: list[FrozenTrial]) -> Iterator[str]:
    """Yield the values that trials have tried and the new distribution lacks."""
    tried: dict[str, list[int]] = {}
    for trial in trials:
        if key in trial.params and not contains(new, as_stored(new, trial.params[key])):
            tried.setdefault(element(trial.params[key]), []).append(trial.number)
    for value, numbers in tried.items():
        which = f"trial {numbers[0]}" + (f" and {len(numbers) - 1} more" if len(numbers) > 1 else "")
        yield (
            f"{key}={in_words(new)}: {which} had {value}, which is not in it: add it, or begin another study with "
            "hydra.sweeper.study_name=..."
        )


def _at_work(trials: list[FrozenTrial], lease_s: float) -> Iterator[str]:
    for trial in trials:
        if trial.state is TrialState.RUNNING and why_stale(trial, lease_s, time.time()) is None:
            lease = trial.user_attrs.get("lease")
            who = f" by {holder(lease)}" if lease else ""
            yield f"trial {trial.number} is being run{who}: its space can change when nothing runs"


def _id(storage: BaseStorage, name: str) -> int | None:
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return None
