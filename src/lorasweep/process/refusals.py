"""Settings of the loss that ask a process for what it does not have: refused before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.errors import Problem
from lorasweep.process.process import Process
from lorasweep.schema import Config, schema_keys, value_at
from lorasweep.text.values import written


def lacking(process: type[Process], config: Config) -> Iterator[Problem]:
    """Yield the keys that a config sets and that have no meaning in a process.

    Args:
        process: its class.
        config: a whole one.
    """
    for key, why in process.lacks.items():
        value, usual = value_at(config, key), schema_keys()[key].default
        if value != usual:
            yield Problem(f"{key}={written(value)}: {why}; set {key}={written(usual)}", key, "base_model.family")
