"""After the search: the best configurations again, under further seeds or on further folds, so that luck shows.

They are trials of a second study, `<study>:finals`, in the same storage: the search's sampler and pruner never see
them, and leases, retries and resuming work as in the search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from lorasweep.search.optuna_internals import FIXED_PARAMS
from lorasweep.search.settings import Settings


@dataclass(frozen=True)
class Extra:
    """One more run of a configuration of the search.

    Attributes:
        of: the search trial's number.
        stage: `repeat`, `fold` or `refit`.
        index: which one, from 1.
        overrides: what differs from the search trial.
    """

    of: int
    stage: str
    index: int
    overrides: tuple[str, ...]


def fold_texts(templates: Sequence[str], fold: int, folds: int) -> tuple[str, ...]:
    """Return the overrides of a fold: `{fold}` and `{folds}` in the templates are filled in."""
    return tuple(text.replace("{folds}", str(folds)).replace("{fold}", str(fold)) for text in templates)


def search_overrides(settings: Settings) -> tuple[str, ...]:
    """Return what every trial of the search is given: fold 1 of a study of folds."""
    return () if settings.folds is None else fold_texts(settings.fold_overrides, 1, settings.folds)


def repeats(ranking: Sequence[int], settings: Settings, seed: int) -> list[Extra]:
    """Return the finalists under further seeds.

    Args:
        ranking: numbers of the search's complete trials, best first.
        seed: the search's own seed.
    """
    return [
        Extra(number, "repeat", index, (f"{settings.seed_key}={seed + index}",))
        for number in ranking[: settings.finalists]
        for index in range(1, settings.repeats)
    ]


def folds(ranking: Sequence[int], settings: Settings) -> list[Extra]:
    """Return the best third of the search on all further folds."""
    if settings.folds is None:
        return []
    return [
        Extra(number, "fold", fold, fold_texts(settings.fold_overrides, fold, settings.folds))
        for number in ranking[: math.ceil(len(ranking) / 3)]
        for fold in range(2, settings.folds + 1)
    ]


def refit(best: int, settings: Settings) -> list[Extra]:
    """Return the winner's run on all images."""
    return [Extra(best, "refit", 1, tuple(settings.refit_overrides))] if settings.refit_overrides else []


def enqueue_extras(finals: optuna.Study, search: optuna.Study, extras: Sequence[Extra]) -> int:
    """Queue those extras that the finals do not have yet; return how many were queued."""
    have = {
        (t.user_attrs.get("of"), t.user_attrs.get("stage"), t.user_attrs.get("index"))
        for t in finals.get_trials(deepcopy=False)
    }
    params = {trial.number: trial.params for trial in search.get_trials(deepcopy=False)}
    new = [extra for extra in extras if (extra.of, extra.stage, extra.index) not in have]
    for extra in new:
        attributes: dict[str, Any] = {
            "of": extra.of,
            "stage": extra.stage,
            "index": extra.index,
            "extra": list(extra.overrides),
        }
        finals.add_trial(
            optuna.trial.create_trial(
                state=TrialState.WAITING, system_attrs={FIXED_PARAMS: dict(params[extra.of])}, user_attrs=attributes
            )
        )
    return len(new)
