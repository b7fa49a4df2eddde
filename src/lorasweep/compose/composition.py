"""From a command line to a config that is fit to run.

Hydra stops at the first mistake. Here every override is judged by itself, all good ones are composed, and
the result is held to the schema and to `checks`: the user reads the whole list at once. A resumed version
keeps the config that it was started with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lorasweep import program
from lorasweep.checks import check
from lorasweep.compose import hydra_settings, overrides, precedence
from lorasweep.compose.resuming import resumed
from lorasweep.compose.typed import hydra_words
from lorasweep.errors import Problem, UserError
from lorasweep.schema import Config, schema_keys, slug
from lorasweep.schema.goals import find_goal, measure_of
from lorasweep.schema.limits import ill_typed
from lorasweep.text.grammar import parsed
from lorasweep.text.names import did_you_mean

CONF = program.conf()
VERSION_BASE = "1.3"

_TARGETS = (
    "lorasweep.",
    "hydra._internal.core_plugins.",
    "hydra.experimental.callbacks.",
    "hydra_plugins.",
    "optuna.samplers.",
    "optuna.pruners.",
)
COMPOSING_ERRORS = (HydraException, OmegaConfBaseException, ValueError)


def native(pixels: float, *, _root_: DictConfig) -> int:
    """Resolve `${native:512}`: 512 pixels on a base of 1024, at the scale of this run's base."""
    return round(pixels * _root_.base_model.resolution / 1024)


def of_lr(share: float, *, _root_: DictConfig) -> float:
    """Resolve `${of_lr:0.5}`: half of `optimizer.lr`, for a learning rate that follows the UNet's."""
    return float(share * _root_.optimizer.lr)


def of_base_lr(share: float, *, _root_: DictConfig) -> float:
    """Resolve `${of_base_lr:0.3}`: 0.3 of the rate that suits the base, for an optimizer that wants another one."""
    return float(share * _root_.base_model.lora_lr)


def of_rank(share: float, *, _root_: DictConfig) -> float:
    """Resolve `${of_rank:0.5}`: half of `network.rank`, for an alpha that follows the rank."""
    return float(share * _root_.network.rank)


def directions(objective: str, further: Sequence[str] | None = None, *, _root_: DictConfig) -> str | list[str]:
    """Resolve `${directions:${objective},${further_objectives}}`: what a search does with each of them."""
    measures = [measure_of(name, _root_.allow_code or ()) for name in (objective, *(further or ()))]
    found = [measure.direction if measure else "minimize" for measure in measures]
    return found[0] if len(found) == 1 else found


def conditions(objective: str, *, _root_: DictConfig) -> list[str]:
    """Resolve `${conditions:${objective}}`: the limits that an objective sets, as constraints of a search."""
    goal = find_goal(objective, _root_.allow_code or ())
    return [str(condition) for condition in goal.conditions] if goal is not None else []


def objectives(objective: str, further: Sequence[str] | None = None) -> list[str]:
    """Resolve `${objectives:${objective},${further_objectives}}`: the names of all of them."""
    return [objective, *(further or ())]


def first_search(path: str | None, network: str) -> str:
    """Resolve `${first_search:${base_model.path},${network.type}}`: what a search that names no space
    tries.

    A full fine-tune has no rank. The toy base gets a taste of minutes; on a real one that schedule and those rates
    would mislead.
    """
    if network == "full":
        return "fine_tune"
    return "default" if path is None else "rank_lr"


def features_of(path: str | None) -> list[str]:
    """Resolve `${features_of:${base_model.path}}`: what sample images are seen with where nobody says: on the toy base
    the toy's own CLIP.
    """
    return ["toy"] if path is None else []


def study_name(name: str, sweeps: str | None = None) -> str:
    """Resolve `${study_name:${name},${hydra.runtime.choices.sweeps}}`: `fuzzybear-rank_lr`."""
    return slug(name) + (f"-{sweeps}" if sweeps not in (None, "null") else "")


def register() -> None:
    """Make the schema and our resolvers known to Hydra and OmegaConf."""
    precedence.install()
    ConfigStore.instance().store(name="schema", node=Config)
    for resolver in (
        native,
        of_lr,
        of_base_lr,
        of_rank,
        directions,
        conditions,
        objectives,
        first_search,
        study_name,
        features_of,
    ):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


@contextmanager
def composing(conf: Path = CONF) -> Iterator[None]:
    """Make `compose` and `load_config` work on a folder of configs; inside hydra.main it is not needed."""
    register()
    with hydra.initialize_config_dir(str(conf.resolve()), version_base=VERSION_BASE):
        yield


def compose(line: Sequence[str], config_name: str = "config") -> DictConfig:
    """Compose the config of a command line; missing values and limits are the business of `settle`.

    Raises:
        UserError: every bad override, each in one line.
    """
    config, problems = _compose_what_works(hydra_words(line), config_name)
    if problems or config is None:
        raise UserError(problems)
    return config


def load_config(line: Sequence[str], config_name: str = "config") -> Config:
    """Compose the config of a command line and hold it to every limit.

    Raises:
        UserError: everything that is wrong, whatever the stage it would have failed at.
    """
    return load_both(line, config_name)[1]


def load_both(line: Sequence[str], config_name: str = "config") -> tuple[DictConfig, Config]:
    """Return the config of a command line as Hydra composes it, and as `load_config` returns it.

    Raises:
        UserError: as `load_config`.
    """
    line = hydra_words(line)
    config, problems = _compose_what_works(line, config_name)
    wrong = {key for problem in problems for key in problem.keys}
    ways: dict[str, str] = {}
    try:
        result = settle(config, line, config_name, wrong) if config is not None else None
    except UserError as error:
        problems, ways = problems + error.problems, error.ways
    if problems:
        raise UserError(problems, ways=ways)
    assert config is not None and result is not None
    return config, result


def settle(config: DictConfig, line: Sequence[str], config_name: str = "config", wrong: Collection[str] = ()) -> Config:
    """Return a composed config as dataclasses: a resumed version's own one if it names one, and checked.

    Args:
        config: what Hydra composed.
        line: the overrides that it was composed with.
        config_name: the root config's name.
        wrong: keys and groups whose overrides were refused before, so that nothing follows from what stands there.

    Raises:
        UserError: missing values, references to nothing, every line of `checks.check`; with resume, no such
            version, or keys that a resumed version cannot change.
    """
    problems = _unresolved(config)
    if problems:
        raise UserError(problems)
    whole = resumed(config, line, config_name) if config.resume is not None else config
    return _checked(whole, keys_given(line), wrong)


def keys_given(line: Sequence[str]) -> set[str]:
    """Return the keys and groups that overrides are for."""
    return {override.key_or_group for text in line if (override := parsed(text))}


def _compose_what_works(line: Sequence[str], config_name: str) -> tuple[DictConfig | None, list[Problem]]:
    """Return the config of all good overrides (None if they do not compose), and what ails the others."""
    judged = overrides.judge_overrides(line)
    problems = judged.problems
    try:
        try:
            config = hydra.compose(config_name, [*judged.groups, *judged.values], return_hydra_config=True)
        except COMPOSING_ERRORS:  # which of them was it?
            ours = {k: v for k, v in judged.values.items() if not v.key_or_group.startswith("hydra.")}
            theirs = {k: v for k, v in judged.values.items() if k not in ours}
            refused = hydra_settings.wrong(theirs, list(judged.groups), config_name)
            problems += refused.values()
            rest = [*judged.groups, *(text for text in theirs if text not in refused)]
            config = hydra.compose(config_name, rest, return_hydra_config=True)
            for text, override in ours.items():
                try:
                    OmegaConf.update(config, override.key_or_group, override.value())
                except OmegaConfBaseException as error:
                    problems.append(_ill_typed(text, override.key_or_group, error))
    except COMPOSING_ERRORS as error:
        return None, [*problems, Problem(_in_words(error))]
    problems += _foreign_targets(OmegaConf.to_container(config))
    with open_dict(config):
        del config["hydra"]
        for key in set(config) - {entry.name for entry in fields(Config)}:  # from a group of somebody else's
            problems.append(
                Problem(f"{key}: there is no such key; a config can only set those of the schema", str(key))
            )
            del config[key]
    return config, problems


def _checked(config: DictConfig, given: Collection[str], wrong: Collection[str]) -> Config:
    missing = OmegaConf.missing_keys(config)
    problems = [
        Problem(f"{key} is missing: {schema_keys()[key].doc}; give it as {key}=...", key)
        for key in sorted(missing - set(wrong))
    ]
    filled = config.copy()
    for key in missing:  # every key without a default is a text; now all the others can be checked too
        OmegaConf.update(filled, key, "-")
    result = OmegaConf.to_object(filled)
    assert isinstance(result, Config)
    problems += check(result, given, {*missing, *wrong})
    if problems:
        raise UserError(problems)
    return result


def _unresolved(config: DictConfig) -> list[Problem]:
    problems = []
    for key in schema_keys():
        try:
            OmegaConf.select(config, key)
        except OmegaConfBaseException as error:
            problems.append(Problem(f"{key}: {_in_words(error)}", key))
    return problems


def _foreign_targets(node: Any, path: str = "") -> Iterator[Problem]:
    """Yield every `_target_` that would run any code but this package's, Hydra's own or its plugins'."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        if key == "_target_" and not str(value).startswith(_TARGETS):
            only = "only parts of lorasweep, Optuna, Hydra and its plugins can be named"
            yield Problem(f"{path}{key}={value}: {only}", f"{path}{key}")
        yield from _foreign_targets(value, f"{path}{key}.")


def _ill_typed(text: str, name: str, error: OmegaConfBaseException) -> Problem:
    key = schema_keys().get(name)
    if key is None:
        return Problem(f"{text}: {_in_words(error)}", name)
    return ill_typed(key, text)


def _in_words(error: Exception) -> str:
    """Return an exception of Hydra or OmegaConf, and what caused it, in one line."""
    lines: list[str] = []
    key = None
    current: BaseException | None = error
    while current is not None:
        for line in str(current).partition("Available options")[0].splitlines():
            detail = re.match(r"\s*(full_key|object_type|reference_type)(: |=)(.*)", line)
            if detail and detail[1] == "full_key":
                key = detail[3]
            elif line.strip() and not detail:
                lines.append(line.strip())
        current = current.__cause__
    hint = did_you_mean(key, schema_keys()) if key and key not in schema_keys() else ""
    return " ".join(lines[:3]) + hint
