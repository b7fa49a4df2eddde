"""Samplers and pruners from a config: a plain dict with `_target_` and arguments becomes an object of Optuna's."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, BruteForceSampler, GridSampler

from lorasweep.errors import Problem, UserError
from lorasweep.search.exhaustive import BruteForce, Grid
from lorasweep.search.settings import PREFIX
from lorasweep.search.space import TITLE, Space
from lorasweep.text.names import did_you_mean, nearest
from lorasweep.text.values import written

# A config may carry Hydra's own words beside `_target_`; they say nothing here.
_HYDRAS = {"_target_", "_convert_", "_recursive_", "_partial_"}
# Their order of trials hangs on the seed: a resumed study must go on in the same order.
_SAME_ORDER = ("GridSampler", "QMCSampler")
_ONE_OBJECTIVE = ("CmaEsSampler",)
_NUMBERS_ONLY = ("CmaEsSampler",)
# Optuna itself asks for these only at the first draw.
_PACKAGES = {"CmaEsSampler": ("cmaes",), "GPSampler": ("scipy", "torch"), "QMCSampler": ("scipy",)}
_EXAMPLE = "optuna.samplers.TPESampler"
# The plain types of Optuna's signatures: in words, and whether a value is one.
_KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "str": ("text", lambda value: isinstance(value, str)),
    "None": ("null", lambda value: value is None),
}
# Whichever way a config names them.
_OURS: Mapping[type, type] = {GridSampler: Grid, BruteForceSampler: BruteForce}
SAMPLER = f"{PREFIX}sampler"
PRUNER = f"{PREFIX}pruner"


def build(spec: Mapping[str, Any], key: str, kind: type = object) -> Any:
    """Return the object that a dict describes: `_target_` is called with the other entries, dicts within first.

    Args:
        spec: the dict.
        key: where it stands in the config, for what is wrong with it.
        kind: what it must be.

    Raises:
        UserError: no such class, one of another kind, an argument or a value that it does not take, an optional
            package that it needs.
    """
    target = spec.get("_target_")
    if not isinstance(target, str):
        message = f"{key}={written(dict(spec))}: expected _target_, the dotted name of a class such as {_EXAMPLE}"
        raise UserError(Problem(message, key), TITLE)
    found = _located(target, key)
    made = _OURS.get(found, found) if inspect.isclass(found) else found
    if inspect.isclass(made) and not issubclass(made, kind):
        raise UserError(Problem(f"{key}: {target} is no {key.rpartition('.')[2]} of Optuna's", key), TITLE)
    arguments = {name: _built(value, f"{key}.{name}") for name, value in spec.items() if name not in _HYDRAS}
    problems = _ill_called(target, made, arguments, key)
    if problems:
        raise UserError(problems, TITLE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return made(**arguments)
    except ImportError as error:
        raise UserError(Problem(_missing(target, error), key), TITLE) from error
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise UserError(Problem(f"{key}: {target}({given}): {error}", key), TITLE) from error


def sampler(spec: Mapping[str, Any], space: Space, directions: Sequence[str], trials_so_far: int = 0) -> BaseSampler:
    """Return a study's sampler.

    Args:
        spec: `_target_` and arguments; Optuna's defaults hold for all that it leaves out.
        space: gives the grid sampler its values.
        directions: one per objective.
        trials_so_far: trials that a resumed study has; the seed moves on by as many, so that draws do not repeat.

    Raises:
        UserError: as `build`; a sampler of one objective for several, or of numbers for none; no finite grid.
    """
    name = _class_name(spec)
    problem = _unfit(name, space, directions)
    if problem:
        raise UserError(Problem(problem, SAMPLER), TITLE)
    filled = dict(spec)
    if name == "GridSampler" and filled.get("search_space") is None:
        filled["search_space"] = space.grid()
    seed = filled.get("seed")
    if isinstance(seed, int) and name not in _SAME_ORDER:
        filled["seed"] = seed + trials_so_far
    result: BaseSampler = build(filled, SAMPLER, BaseSampler)
    return result


def pruner(spec: Mapping[str, Any] | None) -> BasePruner:
    """Return the pruner of a dict with `_target_` and arguments; null prunes nothing.

    Raises:
        UserError: as `build`.
    """
    if spec is None:
        return NopPruner()
    result: BasePruner = build(spec, PRUNER, BasePruner)
    return result


def arguments_of(target: str) -> list[str]:
    """Return what a class of a dotted name takes; nothing where there is no such class."""
    try:
        parameters = inspect.signature(_located(target, "")).parameters.values()
    except UserError:
        return []
    return [found.name for found in parameters if found.kind not in (found.VAR_POSITIONAL, found.VAR_KEYWORD)]


def _class_name(spec: Mapping[str, Any]) -> str:
    return str(spec.get("_target_", "")).rpartition(".")[2]


def _unfit(name: str, space: Space, directions: Sequence[str]) -> str | None:
    """Return why a sampler cannot search this space, or None."""
    absent = [package for package in _PACKAGES.get(name, ()) if importlib.util.find_spec(package) is None]
    if absent:
        return f"{name} needs a package that is not installed: pip install {' '.join(absent)}"
    if name in _ONE_OBJECTIVE and len(directions) > 1:
        return f"{name} minimises one objective, not {len(directions)}: choose hydra/sweeper/sampler=tpe"
    choices = [isinstance(found, CategoricalDistribution) for found in space.distributions.values()]
    if name in _NUMBERS_ONLY and choices and all(choices):
        return f"{name} learns about numbers, and all parameters are choices: choose hydra/sweeper/sampler=tpe"
    return None


def _built(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return build(value, key)
        return {name: _built(item, f"{key}.{name}") for name, item in value.items()}
    return [_built(item, key) for item in value] if isinstance(value, (list, tuple)) else value


def _located(target: str, key: str) -> Any:
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name) if module_name else None
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and module_name.startswith(str(error.name))
        message = f"{target}: there is no module {error.name}" if missing else _missing(target, error)
        raise UserError(Problem(f"{key}._target_={message}", key), TITLE) from error
    if module is None or not callable(getattr(module, name, None)):
        near = nearest(name, dir(module)) if module else None
        hint = f"; did you mean {module_name}.{near}?" if near else f"; expected a name such as {_EXAMPLE}"
        raise UserError(Problem(f"{key}._target_={target}: there is no such class{hint}", key), TITLE)
    return getattr(module, name)


def _ill_called(target: str, made: Any, arguments: Mapping[str, Any], key: str) -> list[Problem]:
    """Return which arguments are unknown or missing, and which are not of the type that the signature names."""
    accepted = inspect.signature(made).parameters
    takes = f"{target.rpartition('.')[2]} takes {', '.join(accepted) or 'nothing'}"
    problems = []
    for name, value in arguments.items():
        at = f"{key}.{name}"
        if name not in accepted:
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in accepted.values()):
                hint = did_you_mean(name, accepted)
                problems.append(Problem(f"{at}: there is no such key{hint}; {takes}", at))
        elif expected := _other_type(str(accepted[name].annotation), value):
            problems.append(Problem(f"{at}={written(value)}: expected {expected}", at))
    for name, parameter in accepted.items():
        several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not several and name not in arguments:
            problems.append(Problem(f"{key}.{name} is missing; {takes}", f"{key}.{name}"))
    return problems


def _other_type(annotation: str, value: Any) -> str | None:
    """Return in words what an annotation of plain types asks for where a value is nothing of it, or None."""
    kinds = [part.strip() for part in annotation.split("|")]
    if not all(kind in _KINDS for kind in kinds) or any(_KINDS[kind][1](value) for kind in kinds):
        return None
    return " or ".join(_KINDS[kind][0] for kind in kinds)


def _missing(target: str, error: ImportError) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:  # Optuna tells of a missing package in an error of its own
        cause = cause.__cause__
    package = getattr(cause, "name", None) or getattr(error, "name", None)
    return f"{target} needs a package that is not installed: pip install {package}" if package else f"{target}: {error}"
