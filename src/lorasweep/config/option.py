"""How a key of the schema is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from lorasweep.config.need import Need


def option(
    default: Any,
    doc: str,
    *,
    choices: Sequence[Any] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    needs: str | Sequence[str] = (),
    brought: bool = False,
    kohya: str | Sequence[str] = (),
    aliases: str | Sequence[str] = (),
    meant: Mapping[str, Any] | None = None,
) -> Any:
    """Declare one key: its default, its meaning, the values it takes, and all else that is known of it.

    Args:
        default: the value when nobody sets it; a list is copied per instance.
        doc: one sentence for the config reference.
        choices: the only values allowed.
        above: exclusive lower limit.
        at_least: inclusive lower limit.
        below: exclusive upper limit.
        at_most: inclusive upper limit.
        needs: what must hold for the key to change anything, each as `need.Need` reads it; set on the command line
            where it does not hold, the key is refused.
        brought: recipes and groups may bring the key along where it changes nothing; else they are told of it.
        kohya: what kohya's sd-scripts call the same thing, with the same values.
        aliases: what others call it.
        meant: words that people give as its value -> the choice that is meant.
    """
    limits = {"choices": choices, "above": above, "at_least": at_least, "below": below, "at_most": at_most}
    metadata = {
        "doc": doc,
        "limits": {name: limit for name, limit in limits.items() if limit is not None},
        "needs": tuple(map(Need.parse, _several(needs))),
        "brought": brought,
        "kohya": _several(kohya),
        "aliases": _several(aliases),
        "meant": dict(meant or {}),
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _several(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
