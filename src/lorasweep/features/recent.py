"""Tensors kept in memory: those that were used last, up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ROOM = 256 * 1024**2
"""Bytes: 80,000 features of whole images of ViT-L, or the patches of 250 images."""


class Recent(MutableMapping[str, "Tensor"]):
    """Tensors by their keys; what was not used for longest goes first.

    Args:
        room: bytes that they take at most together.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room, self._taken = room, 0
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def __getitem__(self, key: str) -> Tensor:
        """Return a tensor, which is then the one used last."""
        self._kept.move_to_end(key)
        return self._kept[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        """Keep a tensor, and let others go where there is no room for all."""
        if key in self._kept:
            del self[key]
        self._kept[key] = value
        self._taken += value.nbytes
        while self._taken > self._room and len(self._kept) > 1:
            del self[next(iter(self._kept))]

    def __delitem__(self, key: str) -> None:
        """Let a tensor go."""
        self._taken -= self._kept.pop(key).nbytes

    def __iter__(self) -> Iterator[str]:
        """Yield the keys, the one not used for longest first."""
        return iter(list(self._kept))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._kept)
