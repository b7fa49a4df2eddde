"""Holding a node of Hydra's config to the options of a dataclass: every unknown key, wrong type and limit at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, TypeVar

from omegaconf import BooleanNode, DictConfig, FloatNode, IntegerNode, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException

from lorasweep.errors import Problem
from lorasweep.schema.keys import Key, keys_of
from lorasweep.schema.limits import beyond_limits, ill_typed
from lorasweep.text.names import did_you_mean
from lorasweep.text.values import written

_NODES: Mapping[Any, Any] = {bool: BooleanNode, int: IntegerNode, float: FloatNode, str: StringNode}
T = TypeVar("T")


def read_options(schema: type[T], node: DictConfig, prefix: str, raw: Collection[str] = ()) -> tuple[T, list[Problem]]:
    """Return the options that a node of the config sets, and what is wrong with them.

    Args:
        schema: a dataclass of `option`s. An option that is refused has its default in what is returned.
        node: the config's; keys that begin with an underscore are Hydra's own.
        prefix: what the node's keys are called in full: `hydra.sweeper.`
        raw: options whose interpolations are left as they are.
    """
    known = {entry.name: keys_of(schema, prefix)[prefix + entry.name] for entry in fields(schema)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in map(str, node):
        if name.startswith("_") or OmegaConf.is_missing(node, name):
            continue
        if name in known:
            found, wrong = _option(known[name], node, name, resolve=name not in raw)
            problems += wrong
            values |= {} if wrong else {name: found}
        else:
            guess = did_you_mean(name, known)
            problems.append(Problem(f"{prefix}{name}: there is no such key{guess}", prefix + name))
    return schema(**values), problems


def _option(key: Key, node: DictConfig, name: str, *, resolve: bool) -> tuple[Any, list[Problem]]:
    """Return the value of one option, and what is wrong with it."""
    try:
        value = plain(node, name, resolve=resolve)
    except OmegaConfBaseException as error:
        return None, [Problem(f"{key.name}: {str(error).splitlines()[0]}", key.name)]
    try:
        found = typed(key, value)
    except ValueError:
        return None, [ill_typed(key, f"{key.name}={written(value)}")]
    return found, list(beyond_limits(key, found))


def plain(node: DictConfig, name: str, *, resolve: bool) -> Any:
    """Return a value of a node without OmegaConf's containers; interpolations resolved or as text.

    Raises:
        OmegaConfBaseException: it refers to nothing.
    """
    value = node[name]
    return OmegaConf.to_container(value, resolve=resolve) if OmegaConf.is_config(value) else value


def typed(key: Key, value: Any) -> Any:
    """Return a value as its key's type: `"3"` is a whole number, one item a list of it, null an empty list or dict.

    Raises:
        ValueError: it is of another type.
    """
    if value is None and key.nullable:
        return None
    if value is None and key.kind in (list, dict):
        return key.kind()
    if key.kind is list:
        items = [value] if isinstance(value, str | int | float | Enum) else value
        if not isinstance(items, list | tuple):
            raise ValueError(value)
        return [_scalar(key.item, item) for item in items]
    if key.kind is dict:
        if not isinstance(value, Mapping):
            raise ValueError(value)
        return dict(value)
    return _scalar(key.kind, value) if key.kind in _NODES else value


def _scalar(kind: Any, value: Any) -> Any:
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e3
    found = _NODES[kind](value.name if isinstance(value, Enum) else value)._value()  # its error is a ValueError
    if found is None:
        raise ValueError(value)
    return found
