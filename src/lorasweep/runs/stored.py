"""Dataclasses that are kept as JSON objects by programs of several ages.

What a newer program wrote besides is kept when the object is written again; what an older one lacked has its default
here, and is left out again until it is given another value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Self, get_args, get_type_hints


@dataclass(kw_only=True, eq=False)
class Stored:
    """A JSON object of known fields; lists of such, and such themselves, may be among them.

    A field with `stored=False` in its metadata is not in the JSON; one with `absent`, as long as it is None.

    Attributes:
        source: the object that it was read from; None of a new one, of which every field is written.
    """

    source: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    _known: ClassVar[Mapping[str, type[Stored] | None] | None] = None

    def __init_subclass__(cls) -> None:
        """Let each kind find its own fields, once."""
        cls._known = None

    @classmethod
    def parse(cls, values: Mapping[str, Any], **others: Any) -> Self:
        """Return the object that a mapping describes; what it lacks, or has as null, gets its default.

        Args:
            values: as JSON has them.
            others: fields that are not in the JSON.

        Raises:
            TypeError: it lacks a field that has no default.
        """
        kinds = cls._kinds()
        given = {name: _read(kind, values[name]) for name, kind in kinds.items() if values.get(name) is not None}
        return cls(**given, **others, source=values)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: fields in the order in which they were read, new ones behind them."""
        own = {name: _written(getattr(self, name)) for name in self._kinds()}
        if self.source is None:
            absent = {each.name for each in fields(self) if "absent" in each.metadata}
            return {name: value for name, value in own.items() if value is not None or name not in absent}
        defaults = {each.name: _written(_default(each)) for each in fields(self)}
        changed = {
            name: value for name, value in own.items() if self.source.get(name) is not None or value != defaults[name]
        }
        return {**self.source, **changed}

    @classmethod
    def _kinds(cls) -> Mapping[str, type[Stored] | None]:
        """Return for every field that is in the JSON which `Stored` it is, or its elements are; None for all others."""
        if cls._known is None:
            hints = get_type_hints(cls)
            stored = [each.name for each in fields(cls) if each.name != "source" and each.metadata.get("stored", True)]
            parts = {name: (hints[name], *get_args(hints[name])) for name in stored}
            cls._known = {name: next(filter(_is_stored, found), None) for name, found in parts.items()}
        return cls._known


def _is_stored(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Stored)


def _read(kind: type[Stored] | None, value: Any) -> Any:
    if kind is None:
        return value
    return [kind.parse(each) for each in value] if isinstance(value, list) else kind.parse(value)


def _written(value: Any) -> Any:
    if isinstance(value, Stored):
        return value.plain()
    return [_written(each) for each in value] if isinstance(value, list) else value


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return None if each.default is MISSING else each.default
