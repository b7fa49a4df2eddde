"""Trials that a study begins with: given ones, and those that the app knows from its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lorasweep.errors import UserError
from lorasweep.search.distributions import contains
from lorasweep.search.settings import Settings, function
from lorasweep.search.space import Space
from lorasweep.text.exceptions import message


def wanted(settings: Settings, config: DictConfig, space: Space) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the parameters that `hydra.sweeper.enqueue` names, as trials store them, and remarks for the user.

    Raises:
        UserError: unknown word or file, parameters that are not searched, values outside of the space.
    """
    if settings.enqueue is None:
        return [], []
    found, remarks = _given(settings, config, space)
    stored = [space.stored(params) for params in found]
    problems = [problem for number, params in enumerate(stored) for problem in _misfits(number, params, space)]
    if problems:
        raise UserError(problems, title="The trials to begin with do not fit the search space")
    return stored, remarks


def enqueue(study: optuna.Study, params: Sequence[dict[str, Any]], space: Space) -> list[str]:
    """Queue parameters, each once in a study's life; return a remark on how many come first."""
    before = [space.stored(known) for known in study.user_attrs.get("enqueued") or []]
    new = [one for one in params if one not in before]
    for one in new:
        study.enqueue_trial(one)
    if new:
        study.set_user_attr("enqueued", before + new)
    return [f"{len(new)} known configurations come first"] if new else []


def _given(settings: Settings, config: DictConfig, space: Space) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the parameters to begin with, and remarks on those left out."""
    given = settings.enqueue
    if isinstance(given, str) and given in settings.sources:
        found, remarks = function(settings.sources[given], f"sources.{given}")(config, space)
        return list(found), list(remarks)
    if isinstance(given, str):
        path = Path(given)
        if not path.is_file():
            known = ", ".join(settings.sources) or "none here"
            raise UserError(f"hydra.sweeper.enqueue={given}: expected a list, a YAML file, or a word (known: {known})")
        try:
            given = OmegaConf.to_container(OmegaConf.load(path))
        except (OSError, OmegaConfBaseException, ValueError) as error:
            raise UserError(f"hydra.sweeper.enqueue={path}: {message(error)}") from error
    if not isinstance(given, list) or not all(isinstance(params, Mapping) for params in given):
        raise UserError("hydra.sweeper.enqueue: expected a list of parameters, such as [{network.rank: 8}]")
    return [dict(params) for params in given], []


def _misfits(number: int, params: Mapping[str, Any], space: Space) -> list[str]:
    problems = []
    for key, value in params.items():
        distribution = space.distributions.get(key)
        if distribution is None:
            problems.append(f"enqueue[{number}]: {key} is not searched; searched are {', '.join(space.distributions)}")
            continue
        if not contains(distribution, value):
            problems.append(f"enqueue[{number}]: {key}={value} is outside of {space.in_words(key)}")
    return problems
