"""Holding a config to its limits: every problem at once, in words, before anything heavy is loaded.

Nothing here opens an image or a model, and torch is never imported.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy

from lorasweep.checks import base, code, data, loss, measures, needs, network, optimizer, run, training
from lorasweep.errors import Problem
from lorasweep.schema import Config, schema_keys, value_at
from lorasweep.schema.limits import beyond_limits

_RULES = [rule for part in (run, base, data, network, optimizer, loss, measures, training) for rule in part.RULES]


def check(config: Config, given: Collection[str] | None = None, wrong: Collection[str] = ()) -> list[Problem]:
    """Return every problem of a config, one line each: what was given, what was expected, what to do.

    First each value by itself, against the limits of the schema; then values that must suit each other or the
    files they point to. A value that fails by itself is not reported again for what it does to others.

    Args:
        config: a composed one.
        given: the keys that its command line sets by themselves, not through a recipe; None where there is none.
        wrong: keys and groups whose values were refused before; the config has others in their places.
    """
    alone = {
        key.name: [*beyond_limits(key, value_at(config, key.name)), *code.refused(key, config)]
        for key in schema_keys().values()
    }
    problems = [line for lines in alone.values() for line in lines]
    failed = [name for name, lines in alone.items() if lines]
    sound = _with_defaults(config, failed)
    together = [*needs.refused(sound, given), *(problem for rule in _RULES for problem in rule(sound))]
    return problems + [problem for problem in together if not problem.follows_from({*wrong, *failed})]


def _with_defaults(config: Config, names: Collection[str]) -> Config:
    """Return a config with the defaults of these keys where rules calculate with them or ask what they stand for."""
    sound = deepcopy(config)
    for name in names:
        if schema_keys()[name].kind in (int, float) or schema_keys()[name].registry is not None:
            group, _, last = name.rpartition(".")
            setattr(value_at(sound, group) if group else sound, last, schema_keys()[name].default)
    return sound
