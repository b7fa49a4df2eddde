"""The sweeper's settings: what `hydra.sweeper` may hold, checked as a whole before anything starts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lorasweep.errors import UserError
from lorasweep.sweeping.storage import journal_url, resolved


@dataclass(frozen=True)
class Settings:
    """Every key of `hydra.sweeper`; their meaning stands in conf/hydra/sweeper/lorasweep.yaml."""

    sampler: dict[str, Any]
    pruner: dict[str, Any]
    direction: str | list[str] = "minimize"
    metric_names: list[str] = field(default_factory=list)
    storage: str | None = None
    study_name: str | None = None
    folder: str = "multirun"
    n_trials: int = 20
    n_jobs: int = 1
    timeout: float | None = None
    max_failure_rate: float = 0.5
    params: dict[str, Any] | None = None
    custom_search_space: str | None = None
    params_from: str | None = None
    enqueue: Any = None
    sources: dict[str, str] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    seed_key: str | None = None
    repeats: int = 1
    finalists: int = 3
    folds: int | None = None
    fold_overrides: list[str] = field(default_factory=list)
    refit_overrides: list[str] = field(default_factory=list)
    retries: int = 1
    lease_s: float = 60.0
    terminator: bool = False
    when_empty: list[str] = field(default_factory=list)
    tie_breakers: list[str] = field(default_factory=list)
    plots: bool = True
    hooks: str | None = None

    @property
    def directions(self) -> list[str]:
        """The directions of all objectives."""
        return [self.direction] if isinstance(self.direction, str) else list(self.direction)

    @property
    def url(self) -> str:
        """Where the study is kept: the given storage, or a journal in the study's folder."""
        return resolved(self.storage) if self.storage else journal_url(Path(self.folder) / "journal.log")


def settle(given: Mapping[str, Any]) -> Settings:
    """Check the sweeper's node of the config and return it as settings.

    Raises:
        UserError: every unknown key, wrong type and impossible value at once.
    """
    # Interpolations in `params` are for the trials: `${of_lr:0.5}` is half of the rate that a trial gets.
    plain: dict[str, Any] = {
        key: OmegaConf.to_container(v, resolve=key != "params") if OmegaConf.is_config(v) else v
        for key, v in given.items()
    }
    known = {entry.name for entry in fields(Settings)}
    problems = [f"hydra.sweeper.{key}: there is no such key" for key in sorted(set(plain) - known)]
    plain = {key: value for key, value in plain.items() if key in known}
    if isinstance(plain.get("storage"), dict):
        problems.append(
            "hydra.sweeper.storage: expected a URL such as sqlite:///study.db; the word null keeps a journal"
        )
        plain["storage"] = None
    if problems:
        raise UserError(problems)
    settings = Settings(**plain)
    problems = list(_impossible(settings))
    if problems:
        raise UserError(problems)
    return settings


def function(dotted: str, key: str) -> Callable[..., Any]:
    """Return the function that a dotted name in `hydra.sweeper.<key>` stands for.

    Raises:
        UserError: there is none.
    """
    module, _, name = dotted.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"hydra.sweeper.{key}={dotted}: expected package.module.function ({' '.join(str(error).split())})"
        ) from error
    if not callable(found):
        raise UserError(f"hydra.sweeper.{key}={dotted} is no function")
    return found  # type: ignore[no-any-return]


def hook(settings: Settings, name: str) -> Callable[..., Any] | None:
    """Return a function of the app's hooks module, or None where the app has none of that name."""
    if settings.hooks is None:
        return None
    try:
        module = importlib.import_module(settings.hooks)
    except ImportError as error:
        raise UserError(f"hydra.sweeper.hooks={settings.hooks}: expected a module ({error})") from error
    return getattr(module, name, None)


def _impossible(settings: Settings) -> Any:
    from lorasweep.sweeping.job import parse_constraint

    def whole(key: str, least: int) -> Any:
        value = getattr(settings, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield f"hydra.sweeper.{key}={value}: expected a whole number, {least} or more"

    for key, least in (("n_trials", 1), ("n_jobs", 1), ("repeats", 1), ("finalists", 1), ("retries", 0)):
        yield from whole(key, least)
    if settings.folds is not None:
        yield from whole("folds", 2)
    for direction in settings.directions:
        if direction not in ("minimize", "maximize"):
            yield f"hydra.sweeper.direction={settings.direction}: expected minimize or maximize, or a list of these"
    if settings.metric_names and len(settings.metric_names) != len(settings.directions):
        yield f"hydra.sweeper.metric_names={settings.metric_names}: expected one for each direction"
    if not 0 <= settings.max_failure_rate <= 1:
        yield f"hydra.sweeper.max_failure_rate={settings.max_failure_rate}: expected a share, 0 to 1"
    if settings.timeout is not None and settings.timeout <= 0:
        yield f"hydra.sweeper.timeout={settings.timeout}: expected seconds, more than 0, or null"
    if settings.lease_s < 1:
        yield f"hydra.sweeper.lease_s={settings.lease_s}: expected seconds, 1 or more"
    if settings.repeats > 1 and settings.seed_key is None:
        yield "hydra.sweeper.repeats: which key is the seed? Give it as hydra.sweeper.seed_key=..."
    if settings.folds is not None and not settings.fold_overrides:
        yield "hydra.sweeper.folds: how is a fold asked for? Give overrides with {fold} and {folds} as fold_overrides"
    if settings.folds is not None and settings.repeats > 1:
        yield "hydra.sweeper.folds and hydra.sweeper.repeats: give one of them"
    if (settings.folds is not None or settings.repeats > 1) and len(settings.directions) > 1:
        yield "hydra.sweeper.repeats and folds need a single objective: among several there is no best to confirm"
    for text in settings.constraints:
        try:
            parse_constraint(text)
        except ValueError as error:
            yield f"hydra.sweeper.constraints: {error}"


def config_value(config: DictConfig, key: str) -> Any:
    """Return a key's value in a composed config, None if it is missing."""
    return OmegaConf.select(config, key, default=None)
