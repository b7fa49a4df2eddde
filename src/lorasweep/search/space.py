"""The search space: what a study searches, read from config and command line, and a trial back as overrides."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, FloatDistribution

from lorasweep.errors import Problem, UserError
from lorasweep.search.distributions import (
    as_stored,
    end_left_out,
    ends,
    from_choices,
    from_legacy,
    from_override,
    in_words,
    values,
)
from lorasweep.search.stored import stored_text, with_readable_shares
from lorasweep.text.grammar import element, parse_override, parsed
from lorasweep.text.names import nearest

TITLE = "This search cannot start"


@dataclass(frozen=True)
class Space:
    """What a study searches.

    Attributes:
        distributions: of the parameters, by their keys as in an override: `network.rank`, `scheduler`, `+extra`.
        fixed: overrides that every trial gets, in the order given.
        remarks: what is to be said as the search begins.
    """

    distributions: dict[str, BaseDistribution]
    fixed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """Return a trial's parameters as overrides, in the order of `params`; keys beyond the space are welcome."""
        return [f"{key}={stored_text(value)}" for key, value in params.items()]

    def stored(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters that a person wrote as a trial stores them: `[1, 2]` as its text, 8.0 as 8 among whole
        numbers. What is not in the space is returned as it is."""
        return {key: as_stored(self.distributions.get(key), value) for key, value in params.items()}

    def grid(self) -> dict[str, list[Any]]:
        """Return all values of every parameter, as a trial stores them.

        Raises:
            UserError: the parameters that have no finite number of values.
        """
        endless = [
            f"{key}={in_words(distribution)} has no end of values: give it a step or choices, such as "
            f"{key}={_few(distribution)}"
            for key, distribution in self.distributions.items()
            if values(distribution) is None
        ]
        if endless:
            raise UserError(endless, TITLE)
        return {key: values(distribution) or [] for key, distribution in self.distributions.items()}

    def size(self) -> int | None:
        """Return the number of different trials; None if there is no end of them."""
        counts = [values(distribution) for distribution in self.distributions.values()]
        return None if None in counts else math.prod(len(found) for found in counts if found is not None)

    def in_words(self, key: str) -> str:
        """Return one parameter's sweep as it reads: `choice(0,0.5 x lr)`."""
        return with_readable_shares(in_words(self.distributions[key]))

    def describe(self) -> dict[str, str]:
        """Return each parameter's sweep in Hydra's grammar; `parse_space` makes the same space of it."""
        return {key: in_words(distribution) for key, distribution in self.distributions.items()}


def parse_space(
    params: Mapping[str, Any], arguments: Sequence[str], resolve: Callable[[str], Any] | None = None
) -> Space:
    """Return the space of `hydra.sweeper.params` and a command line.

    Args:
        params: by key a sweep in Hydra's grammar (`tag(log, interval(1e-5, 1e-3))`), a list of choices, a dict in the
            official plugin's older form (`type: float, low: 0, high: 1`), a single value for all trials, or null for
            a parameter that an earlier config searched and this one does not. Interpolations in it are left to the
            trials, unless it is only with their values that it is a sweep.
        arguments: the command line's overrides. A sweep among them is a parameter and wins over `params`; any other
            is fixed and takes a parameter of the same key out of `params`.
        resolve: returns the value of a key of `params` with its interpolations resolved; None where there are none.

    Raises:
        UserError: everything that is wrong, one line each.
    """
    problems: list[Problem] = []
    remarks: list[str] = []
    given, fixed, seen = _from_arguments(arguments, problems, remarks)
    kept: dict[str, BaseDistribution] = {}
    always: list[str] = []
    mentioned: set[str] = set()
    for key, value in params.items():
        name, where = str(key).lstrip("+"), f"hydra.sweeper.params.{key}"
        if name in mentioned:
            problems.append(Problem(f"{where}: {name} is given twice; leave one of them out", where))
        mentioned.add(name)
        if name in seen or value is None:
            continue
        try:
            found = _param(str(key), value, resolve, remarks)
        except ValueError as error:
            problems.append(Problem(f"{where}: {error}", where))
            continue
        if isinstance(found, str):
            always.append(found)
        else:
            kept[str(key)] = found
    if problems:
        raise UserError(problems, TITLE)
    return Space({**kept, **given}, (*always, *fixed), tuple(remarks))


def _from_arguments(
    arguments: Sequence[str], problems: list[Problem], remarks: list[str]
) -> tuple[dict[str, BaseDistribution], list[str], dict[str, bool]]:
    """Return the parameters of a command line, its fixed overrides, and of each key whether it was a sweep."""
    given: dict[str, BaseDistribution] = {}
    fixed: list[str] = []
    seen: dict[str, bool] = {}
    for text in arguments:
        try:
            override = parse_override(text)
        except ValueError as error:
            problems.append(Problem(f"{text}: {error}", text.partition("=")[0].lstrip("+~")))
            continue
        name, sweep = _name(override), override.is_sweep_override()
        if name in seen and (sweep or seen[name]):
            problems.append(Problem(f"{text}: {name} is given twice; leave one of them out", name))
        seen[name] = sweep
        if not sweep:
            fixed.append(text)
            continue
        try:
            given[override.get_key_element()] = _swept(override, remarks)
        except ValueError as error:
            problems.append(Problem(f"{text}: {error}", name))
    return given, fixed, seen


def _swept(override: Override, remarks: list[str]) -> BaseDistribution:
    """Return the distribution of a sweep, having noted what is to be said of it."""
    found = from_override(override)
    remark = end_left_out(override)
    remarks += [] if remark is None else [remark]
    return found


def check_space(
    space: Space,
    compose: Callable[[list[str]], DictConfig],
    groups: Collection[str] = (),
) -> None:
    """Hold a space to the app's configs before the first trial: its keys, and the type of every end and choice.

    Args:
        space: what is searched.
        compose: composes the config of overrides, or raises; it should check values as a run would.
        groups: the app's config groups.

    Raises:
        UserError: parameters that no key or group answers to, with the nearest one, and values that do not compose.
    """
    keys = config_keys(compose(list(space.fixed)))
    candidates = [*keys, *groups]
    problems = []
    for key in space.distributions:
        name = key.partition("@")[0]
        if key.startswith("+") or name in groups or name in keys:
            continue
        near = nearest(name, candidates) or _same_leaf(name, candidates)
        hint = f"; did you mean {near}?" if near else ""
        problems.append(f"{key}={space.in_words(key)}: there is no key {name}{hint}")
    if problems:
        raise UserError(problems, TITLE)
    tried = {key: ends(distribution) for key, distribution in space.distributions.items()}
    for turn in range(max(map(len, tried.values()), default=0)):  # every end of every parameter in few compositions
        together = {key: found[min(turn, len(found) - 1)] for key, found in tried.items()}
        wrong = _why_not(space, together, compose)
        if wrong:
            alone = [why for key, value in together.items() for why in _why_not(space, {key: value}, compose)]
            problems += alone or [f"{' '.join(space.overrides(together))}: {why}" for why in wrong]
    if problems:
        raise UserError(list(dict.fromkeys(problems)), TITLE)


def _name(override: Override) -> str:
    return override.get_key_element().lstrip("+~")


def _param(key: str, value: Any, resolve: Callable[[str], Any] | None, remarks: list[str]) -> BaseDistribution | str:
    """Return a parameter's distribution, or the override of a single value."""
    if resolve is not None and _is_whole_only_resolved(key, value):
        found = resolve(key)
        if isinstance(found, (list, tuple, Mapping)) or _is_sweep(key, found):
            value = found
    if isinstance(value, Mapping):
        return from_legacy(value)
    if isinstance(value, (list, tuple)):
        return from_choices(value)
    if not isinstance(value, str):
        return f"{key}={element(value)}"
    override = parsed(f"{key}={value}")
    if override is None and value.startswith("choice(") and value.endswith(")"):
        # Hydra's choice() takes no null, a list with commas does.
        override = parsed(f"{key}={value.removeprefix('choice(').removesuffix(')')}")
    try:
        override = override or parse_override(f"{key}={value}")
        return _swept(override, remarks) if override.is_sweep_override() else f"{key}={value}"
    except ValueError as error:
        raise ValueError(f"{value}: {error}") from error


def _is_whole_only_resolved(key: str, value: Any) -> bool:
    """Return whether a value has interpolations and is no sweep yet, or a dict of ends, which must be numbers."""
    return "${" in str(value) and not isinstance(value, (list, tuple)) and not _is_sweep(key, value)


def _is_sweep(key: str, value: Any) -> bool:
    override = parsed(f"{key}={value}") if isinstance(value, str) else None
    return override is not None and override.is_sweep_override()


def _few(distribution: BaseDistribution) -> str:
    assert isinstance(distribution, FloatDistribution)
    middle = math.sqrt(distribution.low * distribution.high) if distribution.log else None
    middle = (distribution.low + distribution.high) / 2 if middle is None else middle
    return f"choice({distribution.low:g},{middle:g},{distribution.high:g})"


def _why_not(space: Space, params: Mapping[str, Any], compose: Callable[[list[str]], object]) -> list[str]:
    """Return why the fixed overrides with these parameters do not compose; nothing if they do."""
    try:
        compose([*space.fixed, *space.overrides(params)])
    except UserError as error:
        return [*error.problems]
    except Exception as error:  # whatever an app's checks raise
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return [f"{' '.join(space.overrides(params))}: {first}"]
    return []


def config_keys(config: DictConfig) -> list[str]:
    """Return the dotted keys of an app's config, those of its groups too."""

    def walk(node: Mapping[Any, Any], prefix: str) -> Iterator[str]:
        for key, value in node.items():
            yield f"{prefix}{key}"
            if isinstance(value, Mapping):
                yield from walk(value, f"{prefix}{key}.")

    found = OmegaConf.to_container(config, resolve=False)
    assert isinstance(found, dict)
    return [key for key in walk(found, "") if not key.startswith("hydra")]


def _same_leaf(name: str, candidates: Collection[str]) -> str | None:
    leaf = name.rpartition(".")[2]
    return min((key for key in candidates if key.rpartition(".")[2] == leaf), default=None)
