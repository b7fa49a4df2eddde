"""Keys that change nothing where they stand, because of what other keys are: `option(..., needs=...)` says which.

On the command line such a key is refused, or told where another one is documented to win over it. Where a recipe or
another file brings it along, the user is told, unless the key is declared as one that files may bring along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from lorasweep.errors import Problem
from lorasweep.schema import Config, Key, schema_keys, value_at
from lorasweep.schema.need import Condition, Need
from lorasweep.text.values import written


def refused(config: Config, given: Collection[str] | None) -> Iterator[Problem]:
    """Yield the keys of a command line that change nothing.

    Args:
        config: a whole one.
        given: the keys that the command line sets by themselves; None takes all that are not their defaults, but for
            those that files may bring along.
    """
    for key, need in _unmet(config):
        value = value_at(config, key.name)
        is_given = (value != key.default and not key.brought) if given is None else key.name in given
        if is_given and not key.overruled and _is_meant(key, value):
            yield Problem(_words(config, key, need), key.name, *need.keys)


def unmet_remarks(config: Config, given: Collection[str]) -> list[str]:
    """Return in words which values of recipes and other files change nothing, and which another key wins over.

    Args:
        config: a whole one.
        given: the keys that the command line sets by themselves.
    """
    lines = []
    for key, need in _unmet(config):
        value = value_at(config, key.name)
        counts = key.overruled if key.name in given else value != key.default and not key.brought
        if counts and _is_meant(key, value):
            lines.append(_words(config, key, need))
    return lines


def _unmet(config: Config) -> Iterator[tuple[Key, Need]]:
    """Yield every key that lacks something it needs, with the first such thing."""
    for key in schema_keys().values():
        unmet = next((need for need in key.needs if not need.holds(config)), None)
        if unmet is not None:
            yield key, unmet


def _is_meant(key: Key, value: Any) -> bool:
    """Return whether a value asks for anything: what is switched off does so where it is on by default."""
    return bool(value) or (key.default is True and not key.may_be_off)


def _words(config: Config, key: Key, need: Need) -> str:
    given = f"{key.name}={written(value_at(config, key.name))}"
    return f"{given} changes nothing {_because(config, need)}"


def _because(config: Config, need: Need) -> str:
    if len(need.conditions) > 1:
        return f"without {' or '.join(_wanted(condition) for condition in need.conditions)}"
    (condition,) = need.conditions
    value = written(value_at(config, condition.key))
    if condition.above is not None:
        return f"while {condition.key} is {value}"
    if condition.values == (None,):
        return f"while {condition.key}={value} is set: leave it out, or set {condition.key}=null"
    will_do = condition.values or [
        choice for choice in schema_keys()[condition.key].limits.get("choices", ()) if choice not in condition.but
    ]
    if condition.values or condition.but:
        group, _, leaf = condition.key.rpartition(".")
        name = group if leaf in ("name", "type") else condition.key
        return f"with {name}={value}; it is for {', '.join(map(written, will_do))}"
    return f"without {_wanted(condition)}"


def _wanted(condition: Condition) -> str:
    """Return what would fulfil a condition, as one types it."""
    key = schema_keys()[condition.key]
    if condition.above is not None:
        return f"{key.name} above {condition.above:g}"
    if key.kind is bool:
        return f"{key.name}=true"
    return f"{key.name}=FOLDER" if key.path else key.name
