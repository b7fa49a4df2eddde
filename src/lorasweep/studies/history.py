"""The documented versions of a recipe as trials to begin a search with: `hydra.sweeper.enqueue=history`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from lorasweep.compose.composition import composing
from lorasweep.compose.groups import repository
from lorasweep.schema import Config, schema_keys
from lorasweep.search.distributions import contains
from lorasweep.search.space import Space
from lorasweep.text.grammar import parse_override
from lorasweep.text.values import written


def documented(config: Config | DictConfig, space: Space) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the documented versions of a config's recipe that are points of a space (for `hydra.sweeper.sources`).

    Args:
        config: of the study; its recipe, `food` or `food/v8`, says whose versions.
        space: what the study searches.

    Returns:
        The parameters of each version that fits, oldest first, each once; and remarks: which version was left out
        and why, and what a version that fits had beyond the space.
    """
    ours = config.copy() if isinstance(config, DictConfig) else OmegaConf.structured(config)
    given = OmegaConf.select(ours, "hydra.overrides.hydra") or []
    search_path = [text for text in given if text.startswith("hydra.searchpath=")]  # of recipes of one's own
    with open_dict(ours):
        ours.pop("hydra", None)
    slug = str(ours.recipe).partition("/")[0]
    with nullcontext() if GlobalHydra.instance().is_initialized() else composing():
        names = _versions(slug, search_path)
        versions = {name: _composed(name, search_path) for name in names}
    if not versions:
        return [], [f"lora={slug} has no documented versions to begin with"]
    keys = [key.name for key in schema_keys().values() if key.resume != "which"]
    varied = [key for key in keys if len({written(_plain(version, key)) for version, _ in versions.values()}) > 1]
    found: dict[str, dict[str, Any]] = {}
    remarks: list[str] = []
    for name, (version, choices) in versions.items():
        params, misfits = _point(version, choices, space)
        twin = next((other for other, known in found.items() if known == params), None)
        if misfits:
            remarks.append(f"{name} is left out: {', '.join(misfits)}")
        elif twin:
            remarks.append(f"{name} is left out: in this space it is {twin} again")
        else:
            found[name] = params
            beyond = _beyond(version, ours, space, params, varied)
            remarks += [f"{name} is tried without what else it had: {', '.join(beyond)}"] if beyond else []
    return list(found.values()), remarks


def _versions(slug: str, search_path: Sequence[str]) -> list[str]:
    """Return `food/v1`, `food/v2`, ... as far as there are configs, by their numbers."""
    options = repository(search_path).get_group_options(f"lora/{slug}", ObjectType.CONFIG)
    numbered = sorted((int(match[1]), option) for option in options if (match := re.fullmatch(r"v(\d+)", option)))
    return [f"{slug}/{option}" for _, option in numbered]


def _composed(name: str, search_path: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    """Return a version's config and the choice of each group."""
    config = hydra.compose("config", [*search_path, f"lora={name}"], return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]  # large, and copied with every try
    return config, choices


def _point(version: DictConfig, choices: Mapping[str, str], space: Space) -> tuple[dict[str, Any], list[str]]:
    """Return a version's parameters as a trial stores them, and in words those that the space does not have."""
    params: dict[str, Any] = {}
    misfits: list[str] = []
    for key, distribution in space.distributions.items():
        name = key.lstrip("+").partition("@")[0]
        if name in choices:
            fits, given = _among(distribution, choices[name]), choices[name]
        elif name in schema_keys():
            given = _plain(version, name)
            fits = _value(version, name, given, distribution)
        else:
            misfits.append(f"it has no {name}")
            continue
        if fits:
            params[key] = fits[0]
        else:
            misfits.append(f"{key}={written(given)} is not in {space.in_words(key)}")
    return params, misfits


def _value(version: DictConfig, name: str, given: Any, distribution: BaseDistribution) -> list[Any]:
    """Return [the stored value that gives a version's own at a key], or nothing where there is none."""
    if isinstance(distribution, CategoricalDistribution):
        return [choice for choice in distribution.choices if _gives(version, name, choice, given)][:1]
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return []
    if isinstance(distribution, IntDistribution):
        return _among(distribution, int(given)) if given == int(given) else []
    return _among(distribution, given) if isinstance(given, float) else []  # 16.0 is no value of a whole-number key


def _among(distribution: BaseDistribution, given: Any) -> list[Any]:
    return [given] if contains(distribution, given) else []


def _gives(version: DictConfig, name: str, choice: Any, value: Any) -> bool:
    """Whether a stored choice, put at a key, gives a value there: `${of_lr:0.5}` gives half of the version's lr."""
    changed = version.copy()
    try:
        for text in Space({}).overrides({name: choice}):
            OmegaConf.update(changed, name, parse_override(text).value())
        return _same(_plain(changed, name), value)
    except OmegaConfBaseException:  # a choice of another type, which no version has
        return False


def _beyond(
    version: DictConfig, ours: DictConfig, space: Space, params: Mapping[str, Any], varied: list[str]
) -> list[str]:
    """Return what a version had that its trial in our study will not have, among what the versions differ in."""
    trial = ours.copy()
    for text in space.overrides({key: value for key, value in params.items() if key in schema_keys()}):
        override = parse_override(text)
        OmegaConf.update(trial, override.key_or_group, override.value())
    groups = tuple(f"{key}." for key in params if key not in schema_keys())
    return [
        f"{key}={written(_plain(version, key))} (here {written(_plain(trial, key))})"
        for key in varied
        if not key.startswith(groups) and not _same(_plain(version, key), _plain(trial, key))
    ]


def _plain(config: DictConfig, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return list(value) if OmegaConf.is_list(value) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
