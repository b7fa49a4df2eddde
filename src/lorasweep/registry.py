"""Names that stand for code: those shipped here, those of installed packages, and dotted names that a user allows.

Listing names imports nothing; what a name stands for is imported when it is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from lorasweep.errors import UserError
from lorasweep.text.exceptions import first_line
from lorasweep.text.names import did_you_mean

T = TypeVar("T")

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_dotted(name: object) -> bool:
    """Return whether a value is a dotted name, such as `my_package.optim:Mine`."""
    return isinstance(name, str) and _DOTTED.fullmatch(name) is not None


def is_allowed(name: str, packages: Collection[str]) -> bool:
    """Return whether a dotted name lies in one of the packages (or modules) that a user allows to be run.

    Args:
        name: dotted, such as `my_package.optim:Mine`.
        packages: such as `my_package`, which covers all modules in it.
    """
    module = name.partition(":")[0]
    return any(module == package or module.startswith(f"{package}.") for package in packages)


class Registry(Collection[str], Generic[T]):
    """What the names of one kind of thing stand for. As a collection it holds the names that need no allowing.

    A package of a user's own adds names through an entry point, which it declares under `group`. A dotted name
    (`my_package.optim:Mine`) is imported as it is: whoever passes one to `registry[name]` has made sure that its user
    allows it (`checks` does so for every key of a config).

    Args:
        noun: what is named, as people call it, such as `optimizer`.
        group: of entry points, such as `lorasweep.optimizers`.
        shipped: name -> "module:attribute" of what it stands for; one line each.

    Attributes:
        noun: what is named, as people call it.
        group: of entry points.
    """

    def __init__(self, noun: str, group: str, shipped: Mapping[str, str]) -> None:
        self.noun, self.group = noun, group
        self._shipped = dict(shipped)
        self._found: dict[str, T] = {}

    def __iter__(self) -> Iterator[str]:
        """Yield the names: the shipped ones in their order, then those of installed packages by the alphabet."""
        yield from self._shipped
        yield from sorted(self._installed().keys() - self._shipped.keys())

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._shipped.keys() | self._installed().keys())

    def __contains__(self, name: object) -> bool:
        """Return whether a name is shipped or of an installed package; a dotted name is neither."""
        return name in self._shipped or name in self._installed()

    def __getitem__(self, name: str) -> T:
        """Return what a name stands for, imported now if it is the first time.

        Args:
            name: one of the names, or a dotted name that its user allows.

        Raises:
            UserError: nothing has this name, or what it stands for cannot be imported.
        """
        if name not in self._found:
            self._found[name] = self._load(name)
        return self._found[name]

    def find(self, name: str, allowed: Collection[str] = ()) -> T | None:
        """Return what a name stands for, for one of which nobody has made sure that it may run; None of another.

        What this process has imported already was allowed, and is found again.

        Args:
            name: of a record, say.
            allowed: the packages whose code may run.

        Raises:
            UserError: it may run, and cannot be imported.
        """
        if name in self or name in self._found or (is_dotted(name) and is_allowed(name, allowed)):
            return self[name]
        return None

    def unknown(self, name: str) -> str:
        """Return the words for a name that stands for nothing: what there is, and what was probably meant."""
        return f"expected one of {', '.join(self)}{did_you_mean(name, self)}"

    def _load(self, name: str) -> T:
        target = self._shipped.get(name)
        if target is None and name in (installed := self._installed()):
            target = installed[name].value
        if target is None and is_dotted(name):
            target = name
        if target is None:
            raise UserError(f"there is no {self.noun} {name}: {self.unknown(name)}")
        module, _, attribute = target.partition(":")
        try:
            found = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:
            if name in self._shipped:
                raise
            raise UserError(f"the {self.noun} {name} cannot be imported from {target} ({first_line(error)})") from error
        return found  # type: ignore[return-value]

    def _installed(self) -> Mapping[str, EntryPoint]:
        return _entries(self.group)


@cache
def _entries(group: str) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}
