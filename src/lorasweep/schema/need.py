"""What a key needs in order to change anything: values of other keys, in a notation close to the command line's.

`dataset.path`: it is set (not null, false, 0 or empty). `network.type=lora|loha`: it has one of these values.
`network.type!=full`: it has any other. `training.batch_size>1`: it is more than that; of a list, its length.
`A or B`: one of them is enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WORDS: Mapping[str, Any] = {"null": None, "true": True, "false": False}


def is_on(value: Any) -> bool:
    """Return whether a value switches something on: it is neither null nor false, 0 or empty."""
    return bool(value)


def value_at(config: object, key: str) -> Any:
    """Return the value of a dotted key, such as network.rank."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


@dataclass(frozen=True)
class Condition:
    """What one key must be.

    Attributes:
        key: its dotted name.
        values: the values that will do; empty where any that is on will do.
        but: the values that will not do, where all others will; empty where `values` or `above` say it.
        above: the number that it must exceed; None without one.
    """

    key: str
    values: tuple[Any, ...] = ()
    but: tuple[Any, ...] = ()
    above: float | None = None

    def holds(self, config: object) -> bool:
        """Return whether a config fulfils it."""
        value = value_at(config, self.key)
        if self.above is not None:
            return bool((len(value) if isinstance(value, list) else value) > self.above)
        if self.but:
            return value not in self.but
        return value in self.values if self.values else is_on(value)


@dataclass(frozen=True)
class Need:
    """One thing that a key needs.

    Attributes:
        conditions: of which one must hold.
    """

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Need:
        """Return the need that a text such as `network.type=lora|loha` stands for.

        Raises:
            ValueError: it cannot be read.
        """
        return cls(tuple(map(_condition, text.split(" or "))))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that it is about."""
        return tuple(condition.key for condition in self.conditions)

    def holds(self, config: object) -> bool:
        """Return whether a config fulfils it."""
        return any(condition.holds(config) for condition in self.conditions)


def _condition(text: str) -> Condition:
    match = re.fullmatch(r"([\w.]+)(?:(!?=)([^=\s]+)|>(\d+))?", text.strip())
    if match is None:
        raise ValueError(f"{text}: expected KEY, KEY=VALUE|VALUE, KEY!=VALUE or KEY>NUMBER")
    key, sign, listed, above = match.groups()
    values = tuple(_WORDS.get(value, value) for value in listed.split("|")) if listed else ()
    return Condition(
        key,
        values=values if sign == "=" else (),
        but=values if sign == "!=" else (),
        above=float(above) if above else None,
    )
