"""How a key of the schema is declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any


def option(
    default: Any,
    doc: str,
    *,
    choices: Sequence[Any] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Declare one key: its default, its meaning, and the values it takes.

    Args:
        default: the value when nobody sets it; a list is copied per instance.
        doc: one sentence for the config reference.
        choices: the only values allowed.
        above: exclusive lower limit. at_least: inclusive lower limit.
        below: exclusive upper limit. at_most: inclusive upper limit.
    """
    limits = {"choices": choices, "above": above, "at_least": at_least, "below": below, "at_most": at_most}
    metadata = {"doc": doc, **{name: limit for name, limit in limits.items() if limit is not None}}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
