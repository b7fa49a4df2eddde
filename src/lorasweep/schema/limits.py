"""Holding one value to what its key says of it."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterator
from typing import Any

from lorasweep.errors import Problem
from lorasweep.registry import Registry, is_dotted
from lorasweep.schema.keys import Key
from lorasweep.text.names import did_you_mean
from lorasweep.text.values import written

_BOUNDS = (
    ("above", "more than", operator.gt),
    ("at_least", "at least", operator.ge),
    ("below", "less than", operator.lt),
    ("at_most", "at most", operator.le),
)
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "keys with values"}


def beyond_limits(key: Key, value: Any) -> Iterator[Problem]:
    """Yield where a value, or an item of a list, lies outside of its key's choices and limits.

    Args:
        key: the key.
        value: of the key's type.
    """
    if key.path and value == "":
        nothing = "null" if key.nullable else "."
        yield Problem(f"{key.name}= is empty: expected a path, or {nothing} ({key.doc})", key.name)
    for item in value if isinstance(value, list) else [value]:
        given = f"{key.name}={written(value)}"
        choices = key.limits.get("choices")
        if choices is not None and item not in choices and not _may_be_code(choices, item):
            hint = did_you_mean(str(item), map(written, choices), key.meant)
            yield Problem(f"{given}: expected one of {', '.join(map(written, choices))}{hint}", key.name)
        if not isinstance(item, (int, float)) or isinstance(item, bool):
            continue
        bounds = [(words, holds, key.limits[name]) for name, words, holds in _BOUNDS if name in key.limits]
        if not math.isfinite(item) or not all(holds(item, limit) for _, holds, limit in bounds):
            expected = " and ".join(f"{words} {limit}" for words, _, limit in bounds) or "a finite number"
            yield Problem(f"{given}: expected {expected} ({key.doc})", key.name)


def _may_be_code(choices: Collection[Any], item: Any) -> bool:
    """Return whether a value may name code of the user's own; whether it is allowed to run is checked with the rest."""
    return isinstance(choices, Registry) and is_dotted(item)


def ill_typed(key: Key, given: str) -> Problem:
    """Return that a value is not of its key's type.

    Args:
        key: the key.
        given: what was given, as the user wrote it: `network.rank=abc`.
    """
    one = _KINDS[key.item or key.kind]
    expected = f"a list such as [a,b], each {one}" if key.kind is list else one
    return Problem(f"{given}: expected {expected}{' or null' if key.nullable else ''} ({key.doc})", key.name)
