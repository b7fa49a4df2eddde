"""What a search is to do, settled and checked as a whole before anything is opened: every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from lorasweep.errors import Problem, UserError
from lorasweep.lanes import settings as launchers
from lorasweep.schema.nodes import plain
from lorasweep.search import choices, enqueue, finals
from lorasweep.search.constraint import SECONDS, parse_constraint
from lorasweep.search.location import hydras_own
from lorasweep.search.settings import PREFIX, Settings, function, hook, read_settings
from lorasweep.search.space import TITLE, Space, check_space, config_keys, parse_space
from lorasweep.search.storage import resolved
from lorasweep.search.stored import dotted
from lorasweep.text.exceptions import message
from lorasweep.text.names import did_you_mean

Compose = Callable[[list[str]], DictConfig]
"""Composes one job's config from its overrides."""
NOTHING = (
    "there is nothing to search: give parameters on the command line, such as 'network.rank=choice(4,8,16)', or in "
    "hydra.sweeper.params"
)


@dataclass(frozen=True)
class SearchPlan:
    """What a search is to do.

    Attributes:
        settings: the sweeper's.
        space: what is searched.
        config: the multirun's; where the command line searches nothing, with the fallback of `when_empty`.
        first: parameters that are tried first.
        remarks: what is to be said as the search begins.
    """

    settings: Settings
    space: Space
    config: DictConfig
    first: list[dict[str, Any]]
    remarks: list[str]


def make_plan(context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> SearchPlan:
    """Return what a multirun's config and command line ask for.

    Args:
        context: Hydra's.
        config: the multirun's.
        arguments: the command line's overrides.

    Raises:
        UserError: everything that is wrong with it.
    """
    problems: list[Problem] = []
    settings, space, wrong = _read(config, arguments)
    if space is not None and not _searches(settings, space) and settings.when_empty:
        arguments = [*arguments, *settings.when_empty]
        config = _with(context, config, arguments)
        settings, space, wrong = _read(config, arguments)
    problems += wrong
    problems += launchers.problems(config, settings.n_jobs)
    fewer = launchers.one_at_a_time(config, settings.n_jobs)
    if fewer is not None and "n_jobs" in _given(config):  # a config may have been written for another launcher
        problems.append(Problem(fewer, launchers.N_JOBS))
    problems += _pruner_without_effect(config, settings)
    first: list[dict[str, Any]] = []
    remarks: list[str] = []
    with _collecting(problems):
        choices.pruner(settings.pruner)
    with _collecting(problems):
        resolved(settings.storage or "unused.log")
    with _collecting(problems):
        for name in ("opening", "closing"):
            hook(settings, name)
    with _collecting(problems):
        problems += _unmeasured(settings, config)
    with _collecting(problems):
        if settings.custom_search_space:
            function(settings.custom_search_space, "custom_search_space")
    if space is not None:
        compose = _composer(context, config)
        problems += _unconfirmable(settings, space, config, compose)
        with _collecting(problems):
            choices.sampler(settings.sampler, space, settings.direction)
        with _collecting(problems):
            check_space(space, compose, groups=_groups(context))
        with _collecting(problems):
            first, remarks = enqueue.wanted(settings, config, space)
        if not wrong and not _searches(settings, space):
            problems.append(Problem(NOTHING))
    if problems or space is None:
        raise UserError(list(dict.fromkeys(problems)), TITLE)
    several = "several objectives: trials are not pruned (Optuna's pruners compare a single value)"
    remarks = [
        *space.remarks,
        *remarks,
        *([several] if len(settings.direction) > 1 else []),
        *([fewer] if fewer else []),
    ]
    return SearchPlan(settings, space, config, first, remarks)


def _read(config: DictConfig, arguments: Sequence[str]) -> tuple[Settings, Space | None, list[Problem]]:
    """Return settings and space of a config, None for a space that cannot be read, and what is wrong with both."""
    settings, problems = read_settings(config.hydra.sweeper, _given(config))
    space = None
    with _collecting(problems):
        params = dotted(settings.search_space or settings.params or {})
        node = config.hydra.sweeper.get("search_space") or config.hydra.sweeper.get("params")
        if settings.params_from:
            params = {**function(settings.params_from, "params_from")(config), **params}
        space = parse_space(params, arguments, lambda key: _resolved(node, key, params[key]))
    return settings, space, problems


def _resolved(node: DictConfig | None, key: str, value: Any) -> Any:
    """Return the value of a key of params with its interpolations resolved; one that a function gave has none."""
    if node is None:
        return value
    if key in node:
        return plain(node, key, resolve=True)
    parent, _, name = key.rpartition(".")
    holder = OmegaConf.select(node, parent) if parent else None
    return plain(holder, name, resolve=True) if isinstance(holder, DictConfig) and name in holder else value


def _searches(settings: Settings, space: Space) -> bool:
    return bool(space.distributions or settings.custom_search_space)


def _with(context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> DictConfig:
    """Return the config of another command line."""
    everything = [*hydras_own(config), *arguments]
    return context.config_loader.load_configuration(
        config_name=config.hydra.job.config_name, overrides=everything, run_mode=RunMode.MULTIRUN
    )


def _given(config: DictConfig) -> list[str]:
    """Return the options of the sweeper that the command line itself sets."""
    keys = [text.lstrip("+~").partition("=")[0] for text in hydras_own(config)]
    return [key.removeprefix(PREFIX).partition(".")[0] for key in keys if key.startswith(PREFIX)]


def _pruner_without_effect(config: DictConfig, settings: Settings) -> Iterator[Problem]:
    """Yield that a pruner was asked for where nothing can be pruned."""
    if len(settings.direction) == 1 or str((settings.pruner or {}).get("_target_", "NopPruner")).endswith("NopPruner"):
        return
    for text in hydras_own(config):
        key = text.lstrip("+~").partition("=")[0]
        if key == "hydra/sweeper/pruner" or key.startswith(f"{PREFIX}pruner"):
            yield Problem(
                f"{text}: Optuna's pruners compare a single value, and there are {len(settings.direction)} objectives: "
                "leave it out",
                key,
            )


def _unconfirmable(settings: Settings, space: Space, config: DictConfig, compose: Compose) -> Iterator[Problem]:
    """Yield why the best could not be trained again as asked: found out before the search, not after it."""
    grid = str(settings.sampler.get("_target_")).endswith(".GridSampler")
    if grid and settings.custom_search_space:
        key = f"{PREFIX}custom_search_space"
        yield Problem(
            f"{key}: a grid needs all of its parameters in advance: choose hydra/sweeper/sampler=bruteforce", key
        )
    seed = settings.seed_key
    if settings.repeats > 1 and seed is not None:
        key = f"{PREFIX}seed_key"
        if OmegaConf.select(config, seed, default=None) is None:
            yield Problem(f"{key}={seed}: there is no key {seed}{did_you_mean(seed, config_keys(config))}", key)
        if seed in {name.lstrip("+") for name in space.distributions}:
            yield Problem(f"{key}={seed} is searched, so that repeats cannot vary it: take it out of the search", key)
    if settings.folds is not None:
        for name, overrides in (
            ("fold_overrides", finals.fold_texts(settings.fold_overrides, 1, settings.folds)),
            ("refit_overrides", tuple(settings.refit_overrides)),
        ):
            try:
                compose([*space.fixed, *overrides])
            except Exception as error:  # whatever an app's checks raise
                yield Problem(f"{PREFIX}{name}={','.join(overrides)}: {message(error)}", PREFIX + name)


def _unmeasured(settings: Settings, config: DictConfig) -> Iterator[Problem]:
    """Yield the constraints and tie breakers for what no trial measures, where the app says what its trials do."""
    names = hook(settings, "metrics")
    if names is None:
        return
    known = [*names(config), SECONDS]
    for text in settings.constraints:
        with suppress(ValueError):  # which is a problem already
            name = parse_constraint(text)[0]
            if name in known:
                continue
            listed = f"measured are {', '.join(known)}"
            key = f"{PREFIX}constraints"
            yield Problem(f"{key}: {text}: no trial measures {name}{did_you_mean(name, known)}; {listed}", key)
    for name in settings.tie_breakers:
        if name not in [*known, *config_keys(config)]:
            key, guess = f"{PREFIX}tie_breakers", did_you_mean(name, [*known, *config_keys(config)])
            yield Problem(f"{key}: there is no parameter or metric {name}{guess}", key)


def _composer(context: HydraContext, config: DictConfig) -> Compose:
    def compose(overrides: Sequence[str]) -> DictConfig:
        return context.config_loader.load_configuration(
            config_name=config.hydra.job.config_name, overrides=list(overrides), run_mode=RunMode.RUN
        )

    return compose


def _groups(context: HydraContext, parent: str = "") -> list[str]:
    """Return the app's config groups, those within groups too."""
    found = [f"{parent}/{name}".lstrip("/") for name in context.config_loader.list_groups(parent)]
    return [group for name in found for group in (name, *_groups(context, name)) if name != "hydra"]


@contextmanager
def _collecting(problems: list[Problem]) -> Iterator[None]:
    """Add what is wrong in the block to the others."""
    try:
        yield
    except UserError as error:
        problems += error.problems
