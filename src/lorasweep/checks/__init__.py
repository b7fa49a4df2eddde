"""Holding a config to its limits: every problem at once, in words, before anything heavy is loaded.

Nothing here opens an image or a model, and torch is never imported.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterator
from typing import Any

from lorasweep.checks import base, compat, data, loss, measures, network, optimizer, run, training
from lorasweep.checks.wording import did_you_mean, written
from lorasweep.config import Config, Key, schema_keys, value_at
from lorasweep.errors import Problem

_RULES = [
    rule for part in (run, base, data, network, optimizer, loss, measures, training, compat) for rule in part.RULES
]
_BOUNDS = (
    ("above", "more than", operator.gt),
    ("at_least", "at least", operator.ge),
    ("below", "less than", operator.lt),
    ("at_most", "at most", operator.le),
)


def check(config: Config, given: Collection[str] = (), wrong: Collection[str] = ()) -> list[Problem]:
    """Return every problem of a config, one line each: what was given, what was expected, what to do.

    First each value by itself, against the limits of the schema; then values that must suit each other or the
    files they point to. A value that fails by itself is not reported again for what it does to others.

    Args:
        config: a composed one.
        given: the keys that its command line sets by themselves, not through a recipe.
        wrong: keys and groups whose values were refused before; the config has others in their places.
    """
    alone = {key.name: list(_limits(key, value_at(config, key.name))) for key in schema_keys().values()}
    problems = [line for lines in alone.values() for line in lines]
    wrong = {*wrong, *(name for name, lines in alone.items() if lines)}
    together = [*(line for rule in _RULES for line in rule(config)), *network.in_vain(config, given)]
    return problems + [problem for problem in together if not problem.follows_from(wrong)]


def _limits(key: Key, value: Any) -> Iterator[Problem]:
    """Yield what is wrong with one value by itself."""
    for item in value if isinstance(value, list) else [value]:
        given = f"{key.name}={written(value)}"
        choices = key.limits.get("choices")
        if choices is not None and item not in choices:
            hint = did_you_mean(str(item), [str(choice) for choice in choices])
            yield Problem(f"{given}: expected one of {', '.join(map(written, choices))}{hint}", key.name)
        if not isinstance(item, (int, float)) or isinstance(item, bool):
            continue
        bounds = [(words, holds, key.limits[name]) for name, words, holds in _BOUNDS if name in key.limits]
        if not math.isfinite(item) or not all(holds(item, limit) for _, holds, limit in bounds):
            expected = " and ".join(f"{words} {limit}" for words, _, limit in bounds) or "a finite number"
            yield Problem(f"{given}: expected {expected} ({key.doc})", key.name)
