"""What was meant by a key that does not exist.

Known are our own names, those of kohya's scripts and what others call the same things; the rest is guessed by how
alike two names are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from lorasweep.schema import schema_keys
from lorasweep.schema.kohya import INSTEAD
from lorasweep.schema.retired import RETIRED
from lorasweep.text.names import nearest


@dataclass(frozen=True)
class Meant:
    """What a key that does not exist was most likely meant to be.

    Attributes:
        names: keys or groups, the likeliest first; empty where there is no guess.
        kohya: the name that kohya's scripts have for it, if that is what was given.
        instead: what to do in its place, where no single key does the same.
    """

    names: tuple[str, ...] = ()
    kohya: str | None = None
    instead: str | None = None


def meant(key: str, groups: Collection[str]) -> Meant:
    """Return what a key that does not exist was meant to be.

    Args:
        key: as it was given: with its group, with another one or with none.
        groups: the config groups that there are.
    """
    if key in RETIRED:
        return Meant(instead=RETIRED[key])
    leaf, group = key.rpartition(".")[2], key.partition(".")[0]
    if (ours := _by_kohya().get(leaf)) is not None:
        return Meant((_chosen_by(ours, groups),), kohya=leaf)
    if leaf in INSTEAD:
        return Meant(kohya=leaf, instead=INSTEAD[leaf])
    named = _by_leaf().get(leaf, ())
    if named:
        inside = tuple(name for name in named if name.startswith(f"{group}."))
        alike = nearest(group, [name.partition(".")[0] for name in named]) if "." in key else None
        return Meant(inside or tuple(name for name in named if alike and name.startswith(f"{alike}.")) or named)
    siblings = [name for name in schema_keys() if name.startswith(f"{group}.")]
    if siblings:
        guess = _nearest_leaf(leaf, siblings)
    else:
        guess = nearest(key, [*schema_keys(), *groups]) or _nearest_leaf(leaf, schema_keys())
    return Meant((guess,) if guess else ())


def _nearest_leaf(leaf: str, names: Iterable[str]) -> str | None:
    by_leaf: dict[str, str] = {}
    for name in names:
        by_leaf.setdefault(name.rpartition(".")[2], name)
    guess = nearest(leaf, by_leaf)
    return by_leaf[guess] if guess else None


def _chosen_by(key: str, groups: Collection[str]) -> str:
    """Return the group where a key, such as optimizer.name, only says which of its choices it is."""
    group, _, leaf = key.rpartition(".")
    return group if leaf in ("name", "type") and group in groups else key


@cache
def _by_kohya() -> Mapping[str, str]:
    return {theirs: key.name for key in schema_keys().values() for theirs in key.kohya}


@cache
def _by_leaf() -> Mapping[str, tuple[str, ...]]:
    """Return the keys by the last parts of their names, and by what others call them."""
    names = [(alias, key.name) for key in schema_keys().values() for alias in key.aliases]
    found: dict[str, tuple[str, ...]] = {}
    for leaf, name in [*names, *((name.rpartition(".")[2], name) for name in schema_keys())]:
        found[leaf] = (*found.get(leaf, ()), name)
    return found
