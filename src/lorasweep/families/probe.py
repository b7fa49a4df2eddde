"""What a forecast of memory or disk runs: parts of a base without their weights."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Shape:
    """The size of what goes through a base at a time.

    Attributes:
        batch: how many images.
        side: of each image in pixels; they are square.
        tokens: length that captions are padded to.
    """

    batch: int
    side: int
    tokens: int


class Probe(Hashable, Protocol):
    """One part of a base, known by its settings alone; equal settings make equal probes, as what they tell is kept."""

    @property
    def part(self) -> str:
        """Its name."""
        ...

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the classes of layers that gradient checkpointing computes again one by one."""
        ...

    def build(self) -> nn.Module:
        """Return the part with weights that have shapes and no content, on torch's meta device."""
        ...

    def run(self, module: nn.Module, shape: Shape, dtype: torch.dtype) -> None:
        """Run what training asks of the part: a step's forward, or, of an image part, the decoding of the images.

        Args:
            module: the part as `build` made it, perhaps with an adapter and with fake weights.
            shape: of the batch.
            dtype: of what the part takes.
        """
        ...

    def checkpoint(self, module: nn.Module) -> None:
        """Let the part compute its blocks again in the backward pass, as it does in training."""
        ...
