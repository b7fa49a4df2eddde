"""What a denoiser is told of a batch: opaque to everybody but the family that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorasweep.transfer import sent


@dataclass(frozen=True)
class Conditioning:
    """Named tensors that have a row for each image.

    Who does not know the family can move, stack and choose rows, and keep a row in a cache, but not read them.

    Args:
        tensors: by the family's own names; the first dimension of each is the number of rows.
    """

    tensors: Mapping[str, Tensor]

    def to(self, device: torch.device | str) -> Conditioning:
        """Return the same rows on `device`."""
        return Conditioning({name: sent(tensor, device) for name, tensor in self.tensors.items()})

    def take(self, rows: Sequence[int] | Tensor) -> Conditioning:
        """Return some rows, in the order given.

        Args:
            rows: their places; a tensor of them is on the device that the rows are on.
        """
        index = rows if isinstance(rows, Tensor) else torch.tensor(list(rows), dtype=torch.long)
        return Conditioning({name: tensor[sent(index, tensor.device)] for name, tensor in self.tensors.items()})

    def row(self, index: int) -> dict[str, Tensor]:
        """Return one row by name, without the first dimension: what a cache keeps."""
        return {name: tensor[index] for name, tensor in self.tensors.items()}

    @staticmethod
    def of_rows(rows: Sequence[Mapping[str, Tensor]]) -> Conditioning:
        """Return rows, each as `row` gave it, together."""
        return Conditioning({name: torch.stack([row[name] for row in rows]) for name in rows[0]})
