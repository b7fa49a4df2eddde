"""Which modules of a part get an adapter: a pattern for module paths."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

from lorasweep.adapters.kinds.kind import adapter_kind
from lorasweep.families.parts import Part
from lorasweep.schema import NetworkConfig
from lorasweep.schema.network import ADAPTERS

NOTHING = "(?!)"


def target_pattern(part: Part, network: NetworkConfig) -> str:
    """Return a regular expression that fully matches the paths of the modules that get an adapter.

    Args:
        part: of the base.
        network: its keys choose among the part's layers; those that no key chooses are adapted anyway.
    """
    chosen = [pattern for key, pattern in part.layers.items() if not key or getattr(network, key)]
    return f".*({'|'.join(chosen) or NOTHING})"


def chosen_parts(parts: Sequence[Part], names: Collection[str]) -> tuple[Part, ...]:
    """Return the parts of these names, in the order of `parts`.

    Raises:
        ValueError: there is no such part.
    """
    known = tuple(part.name for part in parts)
    if unknown := set(names) - set(known):
        raise ValueError(f"unknown components {sorted(unknown)}; there are {known}")
    return tuple(part for part in parts if part.name in names)


def is_adapter_weight(name: str) -> bool:
    """Return whether a parameter of an adapted base, by its path, is an adapter's and not the base's own."""
    return any(f".{prefix}" in name for prefix in _prefixes())


@cache
def _prefixes() -> tuple[str, ...]:
    """Return how the parameters of each kind of adapter begin in a layer."""
    return tuple(prefix for name in ADAPTERS if (prefix := adapter_kind(name).prefix))
