"""Settings of a file become a recipe that composes and passes every check; what does not is left out, and named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lorasweep.checks import check
from lorasweep.compose.composition import composing
from lorasweep.errors import Problem
from lorasweep.export.formula import Formula, escaped
from lorasweep.schema import PERMISSIONS, Config, schema_keys, value_at
from lorasweep.schema.limits import ill_typed
from lorasweep.schema.optimizer import RATES

# What belongs to the base or the machine, and not to a recipe, which trains any base on any machine.
_ELSEWHERE = (
    "base_model.",
    "tracker.",
    "output_root",
    "resume",
    "recipe",
    "dry_run",
    "dataset.resolution",
    "dataset.bucket_step",
    "dataset.cache",
    "sampling.steps",
    "sampling.guidance",
    "training.device",
    "training.mixed_precision",
    "training.gradient_checkpointing",
    "training.offload_idle",
    "training.compile",
    "training.keep_",
    "training.state_every_steps",
    "training.diffusers_folder",
)
_SCALED = ("dataset.bucket_min", "dataset.bucket_max")
"""Sizes in pixels that a recipe has at the scale of the base."""

_LEAST = 64
"""The least of them on a base of 1,024 pixels; what is less would be no whole step on a small base."""

_PATH_KEYS = tuple(key.name for key in schema_keys().values() if key.path)
"""Where something lay; it need not be on this machine."""


@dataclass
class Fitted:
    """Settings that compose.

    Attributes:
        recipe: dotted keys -> values of the recipe.
        elsewhere: those of the base and the machine that decide what is learnt, where the base's group has others.
        notes: a line for each value that had to go, or that only suits its own base.
    """

    recipe: dict[str, Any]
    elsewhere: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def fit_settings(settings: Mapping[str, Any], base_model: str) -> Fitted:
    """Return settings as a recipe, and what else its run was given.

    Args:
        settings: dotted keys -> values, of any release or program; lengths in pixels are those on their own base.
        base_model: the choice of the group base_model that they are for.
    """
    groups = _groups(base_model)
    keys = schema_keys().keys() - PERMISSIONS
    known = {key: settings[key] for key in schema_keys() if key in settings and key in keys}
    notes = [f"{key}={value}: there is no such key: left out" for key, value in settings.items() if key not in keys]
    notes += _drop_ill_typed(known, groups)
    notes += _drop_refused(known, groups)
    base = {key: value for key, value in known.items() if key.startswith("base_model.")}
    on_base = _composed(groups, base)
    recipe: dict[str, Any] = {}
    for key, value in known.items():
        if key in _SCALED:
            pixels = value * 1024 / on_base.base_model.resolution
            if value != value_at(on_base, key) and pixels >= _LEAST:
                recipe[key] = Formula(f"${{native:{pixels:g}}}")
        elif not key.startswith(_ELSEWHERE):
            recipe[key] = value
    recipe |= _base_rates(known, base_model)
    bare, whole = _composed(groups, recipe), _composed(groups, {**recipe, **base})
    elsewhere = {
        key: value
        for key, value in known.items()
        if key.startswith((*_ELSEWHERE, *_SCALED, *RATES))
        and schema_keys()[key].resume not in ("free", "which")
        and (key != "base_model.lora_lr" or isinstance(recipe.get("optimizer.lr"), Formula))
        and value != value_at(bare if key in base else whole, key)
    }
    on_toy = base_model == "toy" and known.get("base_model.path") is None
    if on_toy and (rate := recipe.get("optimizer.lr")) and not isinstance(rate, Formula):
        notes.append(
            f"a rate for other bases: optimizer.lr={rate:g} was that on the toy; base_model.lora_lr is their own"
        )
    return Fitted(recipe, elsewhere, notes)


def _base_rates(settings: Mapping[str, Any], base_model: str) -> dict[str, Formula]:
    """Return the learning rates that were the base's own: on another base they are that one's."""
    own, rate = settings.get("base_model.lora_lr"), settings.get("optimizer.lr")
    if not own or not rate:
        return {}
    optimizer = settings.get("optimizer.name", Config(name="").optimizer.name)
    if optimizer not in _optimizers():  # one of a user's own, whose usual rate nobody knows
        return {}
    groups = _groups(base_model, f"optimizer={optimizer}")
    usual = OmegaConf.to_container(groups.optimizer, resolve=False)
    assert isinstance(usual, dict)
    if not isinstance(usual["lr"], str) or rate != _composed(groups, {"base_model.lora_lr": own}).optimizer.lr:
        return {}
    shares = {key: settings.get(key) for key in RATES if settings.get(key) and key != "optimizer.lr"}
    followers = {key: Formula(f"${{of_lr:{value / rate:g}}}") for key, value in shares.items()}
    return {"optimizer.lr": Formula(usual["lr"]), **followers}


def _drop_ill_typed(settings: dict[str, Any], groups: DictConfig) -> list[str]:
    """Take out values that are not of their key's type, and return a line on each; numbers in quotes become numbers."""
    notes, config = [], groups.copy()
    for key, value in list(settings.items()):
        try:
            OmegaConf.update(config, key, escaped(value))
            if schema_keys()[key].kind in (int, float, bool) and not isinstance(value, Formula):
                settings[key] = OmegaConf.select(config, key)
        except (OmegaConfBaseException, ValueError):
            notes.append(f"{ill_typed(schema_keys()[key], f'{key}={value}')}: left out")
            del settings[key]
    return notes


def _drop_refused(settings: dict[str, Any], groups: DictConfig) -> list[str]:
    """Take out, one after the other, values that a check refuses, and return a line on each.

    Files and folders may be elsewhere.
    """
    notes: list[str] = []
    while True:
        problems = check(_composed(groups, settings))
        found = next(((problem, key) for problem in problems for key in _at_fault(problem, settings)), None)
        if found is None:
            return notes
        problem, key = found
        value = settings.pop(key)
        notes.append(f"{problem}: {'' if problem.startswith(f'{key}=') else f'{key}={value} '}left out")


def _at_fault(problem: Problem, settings: Mapping[str, Any]) -> list[str]:
    return [key for key in problem.keys if key in settings and key not in _PATH_KEYS]


@lru_cache
def _groups(base_model: str, *choices: str) -> DictConfig:
    """What the groups of conf/ come to without a recipe."""
    with composing():
        return hydra.compose("config", ["~lora", f"base_model={base_model}", *choices])


@lru_cache
def _optimizers() -> list[str]:
    """The choices of the group optimizer in conf/."""
    with composing():
        return GlobalHydra.instance().config_loader().get_group_options("optimizer")


def _composed(groups: DictConfig, settings: Mapping[str, Any]) -> Config:
    config = groups.copy()
    for key, value in {"name": "LoRA", **settings}.items():
        OmegaConf.update(config, key, escaped(value))
    result = OmegaConf.to_object(config)
    assert isinstance(result, Config)
    return result
