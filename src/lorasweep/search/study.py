"""The study itself: opening it, or going on with it where it is the same one."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from lorasweep.errors import UserError
from lorasweep.search import choices
from lorasweep.search.budget import spent
from lorasweep.search.lease import why_stale
from lorasweep.search.location import StudyLocation
from lorasweep.search.settings import FINALS, Settings
from lorasweep.search.space import Space
from lorasweep.search.storage import open_storage
from lorasweep.search.widening import change_space

REPEATABLE = ("hydra.", "sweeps=")
"""Overrides that may change when a study is resumed: they say how to search, not what is trained."""
ENDED = "ended"
"""Attribute of a study that has ended: what was asked of it."""


def open_study(settings: Settings, location: StudyLocation, space: Space, storage: BaseStorage) -> optuna.Study:
    """Open the study at a location, or begin it.

    Raises:
        UserError: a study of that name exists, but with other objectives, other fixed overrides or a space that its
            trials do not fit, so that they would not compare.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = location.name
    known = _existing(storage, name)
    if known is not None:
        problems = list(_differences(known, settings, space))
        if problems:
            again = "give the same to go on with it, or begin another with hydra.sweeper.study_name=..."
            raise UserError([f"{problem}: {again}" for problem in problems], title=f"Study {name} cannot be resumed so")
        for one in (name, name + FINALS):
            change_space(storage, one, space.distributions, settings.lease_s)
        known = _existing(storage, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            load_if_exists=True,
            directions=settings.direction if known is None else None,
            sampler=choices.sampler(settings.sampler, space, settings.direction, len(known.trials) if known else 0),
            pruner=choices.pruner(settings.pruner),
        )
        if settings.metric_names:
            study.set_metric_names(settings.metric_names)
    study.set_user_attr("space", space.describe())
    study.set_user_attr("fixed", _lasting(space.fixed))
    study.set_user_attr("tie_breakers", settings.tie_breakers)
    study.set_user_attr("folder", str(location.folder))
    return study


def open_finals(settings: Settings, name: str, storage: BaseStorage) -> optuna.Study:
    """Open the study of a study's repeats and folds; nothing is drawn or pruned in it."""
    return optuna.create_study(
        study_name=name + FINALS,
        storage=storage,
        load_if_exists=True,
        directions=settings.direction,
        sampler=RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )


def load_finals(name: str, storage: BaseStorage) -> optuna.Study | None:
    """Return the study of repeats and folds if there is one."""
    return _existing(storage, name + FINALS)


def close(study: optuna.Study, settings: Settings) -> None:
    """Note that all that the settings ask for has been done."""
    study.set_user_attr(ENDED, _asked(settings))


def left_unfinished(url: str, name: str, settings: Settings, space: Space) -> bool:
    """Return whether a storage has this study, of this very space, with something left to do that nobody does now."""
    try:
        study = _existing(open_storage(url, create=False), name)
    except UserError:  # it cannot be read
        return False
    if study is None or study.user_attrs.get("space") != space.describe() or any(_differences(study, settings, space)):
        return False
    trials = study.get_trials(deepcopy=False)
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    if any(why_stale(trial, settings.lease_s, time.time()) is None for trial in running):
        return False
    ended, asked = study.user_attrs.get(ENDED), _asked(settings)
    if ended is None:
        return bool(running) or len(spent(trials)) < settings.n_trials or settings.repeats > 1 or bool(settings.folds)
    return bool(ended["n_trials"] < asked["n_trials"] or ended | {"n_trials": asked["n_trials"]} != asked)


def _asked(settings: Settings) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in ("n_trials", "repeats", "finalists", "folds")}


def _existing(storage: BaseStorage, name: str) -> optuna.Study | None:
    if name not in optuna.get_all_study_names(storage):
        return None
    return optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler())


def _differences(study: optuna.Study, settings: Settings, space: Space) -> Iterator[str]:
    """Yield in words what is so different in a study that its trials would not compare."""
    begun = [direction.name.lower() for direction in study.directions]
    if begun != settings.direction:
        yield f"it was begun with direction {', '.join(begun)}; you give {', '.join(settings.direction)}"
    fixed, given = study.user_attrs.get("fixed"), _lasting(space.fixed)
    if fixed is not None and _lasting(fixed) != given:
        yield f"its trials were trained with {' '.join(fixed) or 'no overrides'}; you give {' '.join(given) or 'none'}"
    before = study.user_attrs.get("space")
    if before is not None and set(before) != set(space.distributions):
        yield f"it searches {', '.join(before)}; you search {', '.join(space.distributions)}"


def _lasting(fixed: Sequence[str]) -> list[str]:
    return sorted(text for text in fixed if not text.lstrip("+~").startswith(REPEATABLE))
