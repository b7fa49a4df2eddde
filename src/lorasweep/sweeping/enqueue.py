"""Trials that a study begins with: given ones, and those that the app knows from its history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lorasweep.errors import UserError
from lorasweep.sweeping.settings import Settings, function
from lorasweep.sweeping.space import Space


def enqueue(study: optuna.Study, settings: Settings, config: DictConfig, space: Space) -> list[str]:
    """Queue what `hydra.sweeper.enqueue` names, once in a study's life; return remarks for the user.

    Raises:
        UserError: unknown word or file, parameters that are not searched, values outside of the space.
    """
    if settings.enqueue is None:
        return []
    found, remarks = _given(settings, config, space)
    wanted = [space.stored(params) for params in found]
    problems = [problem for number, params in enumerate(wanted) for problem in _misfits(number, params, space)]
    if problems:
        raise UserError(problems, title="The trials to begin with do not fit the search space")
    before = list(study.user_attrs.get("enqueued") or [])
    known = {json.dumps(params, sort_keys=True) for params in before}
    new = [params for params in wanted if json.dumps(params, sort_keys=True) not in known]
    for params in new:
        study.enqueue_trial(params)
    if new:
        study.set_user_attr("enqueued", before + new)
        remarks.append(f"{len(new)} known configurations come first")
    return remarks


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
            raise UserError(f"hydra.sweeper.enqueue={path}: {' '.join(str(error).split())}") from error
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
        try:
            fits = distribution._contains(distribution.to_internal_repr(value))
        except (TypeError, ValueError):
            fits = False
        if not fits:
            problems.append(f"enqueue[{number}]: {key}={value} is outside of {space.describe()[key]}")
    return problems
