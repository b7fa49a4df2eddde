"""Words for what is wrong with a config."""

from __future__ import annotations

from lorasweep.errors import Problem
from lorasweep.schema import Config, value_at
from lorasweep.text.values import written


def without_effect(config: Config, key: str, because: str, *others: str) -> Problem:
    """Return that a set key has no effect, and why.

    Args:
        config: the config that sets it.
        key: the key.
        because: what follows "changes nothing".
        *others: the keys that make it so.
    """
    return Problem(f"{key}={written(value_at(config, key))} changes nothing {because}", key, *others)
