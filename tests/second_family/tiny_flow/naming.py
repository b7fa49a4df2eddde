"""The names of its layers in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorasweep.families.parts import Part

if TYPE_CHECKING:
    from torch import Tensor


class TinyNaming:
    """`tiny.` and the layer's own name."""

    title = "the tiny flow"
    groupings: Sequence[Sequence[Any]] = ()

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts

    def in_file(self, layer: str) -> str:
        return f"tiny.{layer}"

    def layer(self, name: str) -> str:
        if not name.startswith("tiny."):
            raise ValueError(name)
        return name.removeprefix("tiny.")

    def current(self, name: str) -> str:
        return name

    def has_own_alpha(self, layer: str) -> bool:
        return True

    def foreign(self, layers: Mapping[str, Mapping[str, Tensor]]) -> str | None:
        return None
