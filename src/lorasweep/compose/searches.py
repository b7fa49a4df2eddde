"""What a command line asks of Hydra's sweeper and launcher, judged before Hydra composes it: it stops at the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from lorasweep import program
from lorasweep.compose.composition import COMPOSING_ERRORS
from lorasweep.errors import Problem
from lorasweep.lanes import settings as launchers
from lorasweep.schema.goals import measure_of
from lorasweep.schema.keys import keys_of
from lorasweep.search.settings import PREFIX, Settings, read_settings
from lorasweep.search.stored import dotted
from lorasweep.text.grammar import parsed, quoted
from lorasweep.text.names import did_you_mean
from lorasweep.text.shell import shell_quoted
from lorasweep.text.values import written

NODES = ("sweeper", "launcher")
LANES = "hydra/launcher=lanes"


@dataclass
class Asked:
    """What a command line asks for.

    Attributes:
        line: its overrides without those that Hydra would refuse.
        problems: what is wrong with those for the sweeper and the launcher.
        tried: what a search tries beyond the sweeps among them, as overrides: `hydra.sweeper.params`, and before them
            what the sweeper falls back on where nothing is searched at all.
    """

    line: list[str]
    problems: list[Problem] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)


def judge_search(line: Sequence[str], config_name: str, *, several: bool) -> Asked:
    """Judge a command line's overrides of Hydra's sweeper and launcher. Hydra must be initialized.

    Args:
        line: all of its overrides.
        config_name: the root config's name.
        several: whether it asks for several versions (`-m`).
    """
    given = {text: override for text in line if (override := parsed(text))}
    own = {text: override for text, override in given.items() if _node(override) is not None}
    if not several:
        cure = f"it says how several versions are run: add -m, as in {program.command()} -m ..."
        problems = [Problem(f"{text}: {cure}", _key(override)) for text, override in own.items()]
        return Asked([text for text in line if text not in own], problems)
    refused = {text: _swept(text, override) for text, override in own.items() if override.is_sweep_override()}
    values = {text: override for text, override in own.items() if "/" not in _key(override) and text not in refused}
    groups = {f"hydra.{node}" for node in NODES}  # chosen with a dot, which is refused with the others
    rest = {text: override for text, override in given.items() if text not in values and _key(override) not in groups}
    plain = [text for text, override in rest.items() if not override.is_sweep_override()]
    config = _composed(plain, config_name)
    if config is None:  # what is wrong is said where the others are judged
        return Asked([text for text in line if text not in refused], list(refused.values()))
    refused |= {text: problem for text, override in values.items() if (problem := _unknown(config, text, override))}
    values = {text: override for text, override in values.items() if text not in refused}
    _apply(values, config)
    fallback: list[str] = []
    if not any(override.is_sweep_override() for override in given.values()) and not _searches(config.hydra.sweeper):
        fallback = list(config.hydra.sweeper.get("when_empty") or [])
        config = (_composed([*plain, *fallback], config_name) if fallback else None) or config
        _apply(values, config)
    problems = [*refused.values(), *_wrong(config, values)]
    fixed = {override.get_key_element() for override in given.values()}
    return Asked([text for text in line if text not in refused], problems, [*fallback, *_params(config, fixed)])


def unsearched(line: Sequence[str]) -> list[str]:
    """Return in words that a single run takes of a search its settings alone; a trial is repeated in that way."""
    spaces = [text for text in line if text.lstrip("+").startswith("sweeps=") and not text.endswith("=null")]
    return [f"{text} without -m: one version with the settings of its file; nothing is searched" for text in spaces]


def _composed(plain: Sequence[str], config_name: str) -> DictConfig | None:
    """Return the config of overrides, Hydra's own part included; None if it does not compose."""
    try:
        return hydra.compose(config_name, list(plain), return_hydra_config=True)
    except COMPOSING_ERRORS:
        return None


def _apply(values: Mapping[str, Override], config: DictConfig) -> None:
    with read_write(config.hydra), open_dict(config.hydra):
        for override in values.values():
            if not override.is_delete():
                OmegaConf.update(config, _key(override), override.value(), force_add=True)


def _params(config: DictConfig, fixed: set[str]) -> list[str]:
    """Return what the sweeper's own params try, interpolations as they are, but for keys that are given otherwise."""
    params = config.hydra.sweeper.get("params")
    found = OmegaConf.to_container(params) if isinstance(params, DictConfig) else {}  # else it is refused
    assert isinstance(found, dict)
    return [f"{key}={value}" for key, value in dotted(found).items() if isinstance(value, str) and key not in fixed]


def _searches(sweeper: DictConfig) -> bool:
    return any(sweeper.get(key) for key in ("params", "params_from", "custom_search_space", "search_space"))


def _key(override: Override) -> str:
    return str(override.key_or_group)


def _node(override: Override) -> str | None:
    """Return which part of Hydra's an override is for, if it is the sweeper or the launcher."""
    return next((node for node in NODES if _key(override).startswith((f"hydra.{node}.", f"hydra/{node}"))), None)


def _is_ours(config: DictConfig) -> bool:
    return str(config.hydra.sweeper.get("_target_")).endswith(".OptunaSweeper")


def _swept(text: str, override: Override) -> Problem:
    """Return that an option has one value: a multirun has one sweeper and one launcher."""
    key, value = _key(override), text.partition("=")[2]
    option = keys_of(Settings, PREFIX).get(key)
    cure = "give one value"
    if option is not None and option.kind is list:
        cure = f"write it as one list: {key}=[{value}]"
    if key.startswith("hydra.sweeper.params."):
        cure = f"quote the sweep: {shell_quoted(f'++{key}={quoted(value)}')}"
    return Problem(f"{text}: {cure}", key)


def _unknown(config: DictConfig, text: str, override: Override) -> Problem | None:
    """Return that an override is for no option of the sweeper or launcher that is chosen."""
    node, (name, *path) = str(_node(override)), _key(override).split(".")[2:]
    ours = Settings.__dataclass_fields__ if node == "sweeper" else {}
    options = {str(key) for key in config.hydra[node] if not str(key).startswith("_")}
    if name in ("sampler", "pruner") and not path and isinstance(override.value(), str):
        return Problem(f"{text}: it is chosen with a slash: hydra/sweeper/{name}={override.value()}", _key(override))
    if name in options or (name in ours and _is_ours(config)):
        return _unknown_within(config.hydra[node].get(name), text, override) if path else None
    chosen = config.hydra.runtime.choices.get(f"hydra/{node}")
    hint = "; it is one of a search's: add hydra/sweeper=optuna" if name in ours else did_you_mean(name, options)
    if node == "launcher" and chosen == "basic" and (lanes := _composed([LANES], "config")):
        hint = f"; add {LANES}" if name in lanes.hydra.launcher else hint
    return Problem(f"{text}: hydra/{node}={chosen} has no option {name}{hint}", _key(override))


def _unknown_within(option: Any, text: str, override: Override) -> Problem | None:
    """Return that an option, such as the sampler, has no such key, or that Hydra wants a `+` to add it."""
    *parents, name = _key(override).split(".")[3:]
    holder = OmegaConf.select(option, ".".join(parents)) if parents and option is not None else option
    keys = {str(key) for key in holder} if isinstance(holder, DictConfig) else set()
    if name in keys or override.is_force_add() or override.is_add():
        return None
    if "_target_" in keys:
        from lorasweep.search.choices import arguments_of  # with Optuna, which is only loaded to say what is wrong

        target, takes = str(holder["_target_"]), arguments_of(str(holder["_target_"]))
        if name not in takes:
            listed = f"{target.rpartition('.')[2]} takes {', '.join(takes) or 'nothing'}"
            return Problem(f"{text}: there is no such key{did_you_mean(name, takes)}; {listed}", _key(override))
    return Problem(f"{text}: Hydra wants a key that is new to be added: {shell_quoted(f'++{text}')}", _key(override))


def _wrong_way(config: DictConfig, direction: Sequence[str]) -> Iterator[Problem]:
    """Yield that the objectives were to be optimised in another direction than the one in which they are better."""
    names = [config.objective, *config.further_objectives]
    measures = [measure_of(name, config.allow_code or ()) for name in names]
    better = [measure.direction if measure else None for measure in measures]
    if None not in better and better != list(direction):
        listed = ", ".join(f"{name} is to {way}" for name, way in zip(names, better, strict=True))
        key = "hydra.sweeper.direction"
        yield Problem(f"{key}={written(list(direction))}: {listed}, which the search does by itself: leave it out", key)


def _wrong(config: DictConfig, values: Mapping[str, Override]) -> list[Problem]:
    """Return what is wrong with the sweeper's and the launcher's options.

    Args:
        config: has them all.
        values: the overrides that the command line gives.
    """
    if not _is_ours(config):
        return launchers.problems(config, None)
    given = [_key(override).split(".")[2] for override in values.values() if _node(override) == "sweeper"]
    settings, problems = read_settings(config.hydra.sweeper, given)
    fewer = launchers.one_at_a_time(config, settings.n_jobs) if "n_jobs" in given else None
    problems += [] if fewer is None else [Problem(fewer, launchers.N_JOBS)]
    wrong_way = list(_wrong_way(config, settings.direction)) if "direction" in given else []
    if wrong_way:  # that there are not as many names of metrics only follows
        problems = wrong_way + [problem for problem in problems if "hydra.sweeper.metric_names" not in problem.keys]
    return [*problems, *launchers.problems(config, settings.n_jobs)]
