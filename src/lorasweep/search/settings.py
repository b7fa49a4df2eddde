"""The sweeper's settings: what `hydra.sweeper` may hold, and what its options mean to each other.

Nothing here imports Optuna: a whole command line is checked before anything heavy is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lorasweep.errors import Problem, UserError, one_line
from lorasweep.schema.keys import keys_of
from lorasweep.schema.nodes import read_options
from lorasweep.schema.option import option
from lorasweep.search.constraint import parse_constraint
from lorasweep.text.values import written

PREFIX = "hydra.sweeper."
FINALS = ":finals"
"""What the name of the study of repeats and folds ends in."""
SPARE = ":changing"
"""What the name of a study's copy ends in, while its space is being changed."""

CONVERGED_AFTER = 20
"""Complete trials before the terminator is asked; Optuna's own default."""


@dataclass(frozen=True)
class Settings:
    """Every option of `hydra.sweeper`; conf/hydra/sweeper/lorasweep.yaml shows them to those who set them."""

    sampler: dict[str, Any] = option({"_target_": "optuna.samplers.TPESampler"}, "what is tried next")
    pruner: dict[str, Any] | None = option(None, "what is stopped early; null stops nothing")
    direction: list[str] = option(
        ["minimize"], "minimize or maximize, or a list of these", choices=("minimize", "maximize")
    )
    storage: str | None = option(None, "URL of where the study is kept; null keeps a journal in its folder")
    study_name: str | None = option(None, "name under which the study goes on; null takes the app's")
    n_trials: int = option(20, "trials in all: a resumed study counts those it has", at_least=1)
    n_jobs: int | None = option(None, "trials at the same time; null lets the launcher decide", at_least=1)
    max_failure_rate: float = option(
        0.5, "share of n_trials that may fail before the study stops", at_least=0, at_most=1
    )
    params: dict[str, Any] | None = option(None, "what is searched, in Hydra's grammar of sweeps")
    search_space: dict[str, Any] | None = option(None, "what params was called before Hydra 1.2")
    custom_search_space: str | None = option(
        None, "package.module.function(config, trial) that suggests further parameters"
    )
    metric_names: list[str] = option([], "what the objectives are called in tables and plots")
    params_from: str | None = option(None, "package.module.function(config) that returns params; those given win")
    folder: str | None = option(None, "folder of the study's journal, tables and plots; null takes hydra.sweep.dir")
    timeout: float | None = option(None, "seconds after which no further trial starts", above=0)
    enqueue: Any = option(None, "tried first: a list of parameters, a YAML file of one, or a word of sources")
    sources: dict[str, Any] = option({}, "word: package.module.function(config, space) that returns what is enqueued")
    constraints: list[str] = option([], "such as 'seconds <= 600': a trial that breaks one is never the best")
    seed_key: str | None = option(None, "the app's key of the seed, which repeats vary", needs="repeats>1")
    repeats: int = option(1, "seeds per finalist", at_least=1)
    finalists: int = option(3, "how many of the best are repeated", at_least=1, needs="repeats>1")
    folds: int | None = option(None, "score by k-fold", at_least=2)
    fold_overrides: list[str] = option([], "overrides of a fold, with {fold} and {folds} in them", needs="folds")
    refit_overrides: list[str] = option([], "overrides of the winner's last run", needs="folds")
    retries: int = option(
        1, "how often in a row a trial whose process dies without getting further is tried again", at_least=0
    )
    lease_s: float = option(60.0, "seconds without a heartbeat after which a trial counts as dead", at_least=1)
    terminator: bool = option(False, "stop when Optuna expects no further improvement")
    when_empty: list[str] = option([], "overrides that are added when the command line searches nothing")
    tie_breakers: list[str] = option([], "parameters or metrics; between equals the smaller one wins")
    plots: bool = option(True, "draw the study's plots when it ends")
    hooks: str | None = option(None, "package.module of the app's functions that the search calls")


def read_settings(node: DictConfig, given: Collection[str] = ()) -> tuple[Settings, list[Problem]]:
    """Return the settings of the sweeper's node of the config, and everything that is wrong with them.

    What is refused has its default in what is returned, so that the rest of the command line can be judged too.

    Args:
        node: `hydra.sweeper`.
        given: options that the command line itself sets: one that changes nothing is refused.
    """
    # Interpolations in params are for the trials: `${of_lr:0.5}` is half of the rate that a trial gets.
    settings, problems = read_options(Settings, node, PREFIX, raw=("params", "search_space"))
    wrong = {key for problem in problems for key in problem.keys}
    problems += [problem for problem in _together(settings, given) if not problem.follows_from(wrong)]
    return settings, problems


def function(dotted: str, key: str) -> Callable[..., Any]:
    """Return the function that a dotted name in `hydra.sweeper.<key>` stands for.

    Raises:
        UserError: there is none.
    """
    module, _, name = dotted.rpartition(".")
    found = getattr(_module(module, f"{key}={dotted}", "package.module.function"), name, None)
    if not callable(found):
        raise UserError(Problem(f"{PREFIX}{key}={dotted}: {module} has no function {name}", PREFIX + key))
    return found  # type: ignore[no-any-return]


def hook(settings: Settings, name: str) -> Callable[..., Any] | None:
    """Return a function of the app's hooks module, or None where the app has none of that name.

    Raises:
        UserError: there is no such module.
    """
    if settings.hooks is None:
        return None
    return getattr(_module(settings.hooks, f"hooks={settings.hooks}", "a module"), name, None)


def _module(name: str, given: str, expected: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a module of the app's raises as it is imported
        key = PREFIX + given.partition("=")[0]
        raise UserError(Problem(f"{PREFIX}{given}: expected {expected} ({one_line(error)})", key)) from error


def _together(settings: Settings, given: Collection[str]) -> Iterator[Problem]:
    """Yield where options do not suit each other, or change nothing."""
    yield from _idle(settings, given)
    yield from _finals(settings)
    several = len(settings.direction)
    if not several:
        yield _problem("direction", "=[]: expected minimize or maximize, or a list of these")
    names = settings.metric_names
    if names and (len(names) != several or len(set(names)) < several):
        given_names = written(names)
        yield _problem("metric_names", f"={given_names}: expected a different name for each of {several} directions")
    for text in settings.constraints:
        try:
            parse_constraint(text)
        except ValueError as error:
            yield _problem("constraints", f": {error}")
    name = settings.study_name
    if name is not None and (not name.strip() or name.endswith((FINALS, SPARE))):
        wanted = f"expected a name that is not empty and does not end in {FINALS} or {SPARE}"
        yield _problem("study_name", f"={name}: {wanted}")
    if settings.params is not None and settings.search_space is not None:
        yield _problem("search_space", " is what params was called before Hydra 1.2: give params alone")
    if settings.terminator and several > 1:
        yield _problem("terminator", "=true: Optuna's terminator judges a single objective")
    elif settings.terminator and settings.n_trials <= CONVERGED_AFTER:
        yield _problem(
            "terminator",
            f"=true changes nothing with n_trials={settings.n_trials}: it is asked after {CONVERGED_AFTER} trials",
            "n_trials",
        )


def _finals(settings: Settings) -> Iterator[Problem]:
    """Yield why the best cannot be confirmed as asked."""
    if settings.repeats > 1 and settings.seed_key is None:
        yield _problem("repeats", f"={settings.repeats}: which key is the seed? Give it as hydra.sweeper.seed_key=...")
    if settings.folds is not None and not settings.fold_overrides:
        yield _problem(
            "folds",
            f"={settings.folds}: how is a fold asked for? Give overrides with {{fold}} and {{folds}} as "
            "hydra.sweeper.fold_overrides=[...]",
        )
    if settings.folds is not None and settings.repeats > 1:
        yield _problem("folds", f"={settings.folds} and hydra.sweeper.repeats={settings.repeats}: give one of them")
    if len(settings.direction) > 1 and (settings.folds is not None or settings.repeats > 1):
        key = "repeats" if settings.folds is None else "folds"
        yield _problem(key, " needs a single objective: among several there is no best to confirm")


def _idle(settings: Settings, given: Collection[str]) -> Iterator[Problem]:
    """Yield options of the command line that change nothing as things are."""
    for name in given:
        key = keys_of(Settings).get(name)
        for need in key.needs if key is not None else ():
            if not need.holds(settings):
                wanted = " or ".join(
                    f"{PREFIX}{condition.key}" + ("" if condition.above is None else f">{condition.above:g}")
                    for condition in need.conditions
                )
                value = written(getattr(settings, name))
                yield _problem(name, f"={value} changes nothing without {wanted}", *need.keys)


def _problem(key: str, text: str, *others: str) -> Problem:
    return Problem(f"{PREFIX}{key}{text}", PREFIX + key, *(PREFIX + other for other in others))


def config_value(config: DictConfig, key: str) -> Any:
    """Return a key's value in a composed config, None if it is missing."""
    return OmegaConf.select(config, key, default=None)
