"""Samplers and pruners from a config: a plain dict with `_target_` and arguments becomes an object of Optuna's."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from lorasweep.errors import UserError
from lorasweep.sweeping.space import TITLE, Space
from lorasweep.text import nearest

# A config may carry Hydra's own words beside `_target_`; they say nothing here.
_HYDRAS = {"_target_", "_convert_", "_recursive_"}
# Their order of trials hangs on the seed: a resumed study must go on in the same order.
_SAME_ORDER = ("GridSampler", "QMCSampler")
_ONE_OBJECTIVE = ("CmaEsSampler",)
# Optuna itself asks for these only at the first draw.
_PACKAGES = {"CmaEsSampler": ("cmaes",), "GPSampler": ("scipy", "torch"), "QMCSampler": ("scipy",)}
_EXAMPLE = "optuna.samplers.TPESampler"


def build(spec: Mapping[str, Any]) -> Any:
    """Return the object that a dict describes: `_target_` is called with the other entries, dicts within first.

    Raises:
        UserError: no such class, an argument or a value that it does not take, an optional package that it needs.
    """
    target = spec.get("_target_")
    if not isinstance(target, str):
        raise UserError(f"{dict(spec)}: expected _target_, the dotted name of a class such as {_EXAMPLE}", TITLE)
    made = _located(target)
    arguments = {key: _built(value) for key, value in spec.items() if key not in _HYDRAS}
    problem = _ill_called(target, made, arguments)
    if problem:
        raise UserError(problem, TITLE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return made(**arguments)
    except ImportError as error:
        raise UserError(_missing(target, error), TITLE) from error
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise UserError(f"{target}({given}): {error}", TITLE) from error


def sampler(spec: Mapping[str, Any], space: Space, directions: Sequence[str], trials_so_far: int = 0) -> BaseSampler:
    """Return a study's sampler.

    Args:
        spec: `_target_` and arguments; Optuna's defaults hold for all that it leaves out.
        space: gives the grid sampler its values.
        directions: one per objective.
        trials_so_far: trials that a resumed study has; the seed moves on by as many, so that draws do not repeat.

    Raises:
        UserError: as `build`; a sampler of one objective for several; no finite grid.
    """
    name = str(spec.get("_target_", "")).rpartition(".")[2]
    if name in _ONE_OBJECTIVE and len(directions) > 1:
        raise UserError(
            f"{name} minimises one objective, not {len(directions)}: choose hydra/sweeper/sampler=tpe", TITLE
        )
    absent = [package for package in _PACKAGES.get(name, ()) if importlib.util.find_spec(package) is None]
    if absent:
        raise UserError(f"{name} needs a package that is not installed: pip install {' '.join(absent)}", TITLE)
    filled = dict(spec)
    if name == "GridSampler" and filled.get("search_space") is None:
        filled["search_space"] = space.grid()
    if filled.get("seed") is not None and name not in _SAME_ORDER:
        filled["seed"] = int(filled["seed"]) + trials_so_far
    result = build(filled)
    if not isinstance(result, BaseSampler):
        raise UserError(f"hydra.sweeper.sampler: {spec.get('_target_')} is no sampler of Optuna's", TITLE)
    return result


def pruner(spec: Mapping[str, Any]) -> BasePruner:
    """Return the pruner of a dict with `_target_` and arguments.

    Raises:
        UserError: as `build`.
    """
    result = build(spec)
    if not isinstance(result, BasePruner):
        raise UserError(f"hydra.sweeper.pruner: {spec.get('_target_')} is no pruner of Optuna's", TITLE)
    return result


def _built(value: Any) -> Any:
    if isinstance(value, Mapping):
        return build(value) if "_target_" in value else {key: _built(item) for key, item in value.items()}
    return [_built(item) for item in value] if isinstance(value, (list, tuple)) else value


def _located(target: str) -> Any:
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name) if module_name else None
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and module_name.startswith(str(error.name))
        raise UserError(
            f"{target}: there is no module {error.name}" if missing else _missing(target, error), TITLE
        ) from error
    if module is None or not callable(getattr(module, name, None)):
        near = nearest(name, dir(module)) if module else None
        hint = f"; did you mean {module_name}.{near}?" if near else f"; expected a name such as {_EXAMPLE}"
        raise UserError(f"{target}: there is no such class{hint}", TITLE)
    return getattr(module, name)


def _ill_called(target: str, made: Any, arguments: Mapping[str, Any]) -> str | None:
    """Return which arguments are unknown or missing, or None."""
    accepted = inspect.signature(made).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return None
    unknown = [key for key in arguments if key not in accepted]
    missing = [key for key, p in accepted.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    missing = [key for key in missing if key not in arguments]
    if not unknown and not missing:
        return None
    ails = [f"{key} is unknown{_near(key, accepted)}" for key in unknown] + [f"{key} is missing" for key in missing]
    return f"{target}: {', '.join(ails)}; it takes {', '.join(accepted)}"


def _near(key: str, accepted: Mapping[str, Any]) -> str:
    near = nearest(key, accepted)
    return f" (did you mean {near}?)" if near else ""


def _missing(target: str, error: ImportError) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:  # Optuna tells of a missing package in an error of its own
        cause = cause.__cause__
    package = getattr(cause, "name", None) or getattr(error, "name", None)
    return f"{target} needs a package that is not installed: pip install {package}" if package else f"{target}: {error}"
