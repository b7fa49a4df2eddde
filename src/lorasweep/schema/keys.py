"""Keys by their dotted names, with what the schema says about each."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from lorasweep.registry import Registry
from lorasweep.schema.need import Need
from lorasweep.schema.option import OnResume


@dataclass(frozen=True)
class Key:
    """What the schema says about one key.

    Attributes:
        name: dotted, such as network.rank.
        kind: the value's type without null: bool, int, float, str, list or dict; Any where there are several.
        item: the type of a list's items; None for anything but a list.
        nullable: whether null is a value of it.
        default: the value when nobody sets it; MISSING (`???`) where there is none.
        doc: its meaning in one sentence.
        limits: choices, above, at_least, below, at_most, as given to `option`.
        registry: what its values are names in; None of most keys.
        path: it names a file or folder.
        needs: what must hold for it to change anything.
        brought: recipes and groups may bring it along where it changes nothing.
        may_be_off: false asks for nothing, though it is on by default.
        overruled: another key wins over it, which is told rather than refused.
        kohya: what kohya's sd-scripts call it.
        ss: the key of a weights file's metadata that has its value; empty where there is none.
        aliases: what others call it.
        meant: words that people give as its value -> the choice that is meant.
        resume: what another value does to a version that is resumed.
        measures: beginnings of the names of what it decides the measuring of.
    """

    name: str
    kind: type
    item: type | None
    nullable: bool
    default: Any
    doc: str
    limits: Mapping[str, Any]
    registry: Registry[Any] | None
    path: bool
    needs: tuple[Need, ...]
    brought: bool
    may_be_off: bool
    overruled: bool
    kohya: tuple[str, ...]
    ss: str
    aliases: tuple[str, ...]
    meant: Mapping[str, Any]
    resume: OnResume
    measures: tuple[str, ...]


@cache
def keys_of(schema: type, prefix: str = "") -> Mapping[str, Key]:
    """Return every leaf key of the schema by its dotted name, in the order of declaration."""
    hints = typing.get_type_hints(schema)
    found: dict[str, Key] = {}
    for entry in fields(schema):
        hint, name = hints[entry.name], prefix + entry.name
        if is_dataclass(hint):
            found |= keys_of(typing.cast(type, hint), f"{name}.")
            continue
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        nullable = type(None) in typing.get_args(hint)
        plain = parts[0] if nullable else hint
        is_list = typing.get_origin(plain) is list
        found[name] = Key(
            name=name,
            kind=typing.get_origin(plain) or plain,
            item=typing.get_args(plain)[0] if is_list else None,
            nullable=nullable,
            default=entry.default if entry.default_factory is NO_DEFAULT else entry.default_factory(),
            **entry.metadata,
        )
    return found
