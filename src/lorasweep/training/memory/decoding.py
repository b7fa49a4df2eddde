"""The most memory that tensors take at any time while an image is decoded: more than a frugal training does."""

from __future__ import annotations

import weakref
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lorasweep.families.probe import Probe, Shape
from lorasweep.training.memory.fakes import make_fake


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made inside this context that are still held.

    Attributes:
        most: the largest count so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._live: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it made."""
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (key := tensor.untyped_storage()._cdata) not in self._live:
                self._live[key] = tensor.untyped_storage().nbytes()
                weakref.finalize(tensor.untyped_storage(), self._live.pop, key, None)
        self.most = max(self.most, sum(self._live.values()))
        return made


@lru_cache(maxsize=16)
def decoding_bytes(probe: Probe, side: int) -> int:
    """Return what decoding one image takes in 32 bit beside the weights of what decodes it; encoding one takes less.

    Args:
        probe: the part that decodes.
        side: of the image in pixels; it is square.
    """
    module = probe.build().requires_grad_(False).eval()
    with make_fake(module, torch.float32), torch.no_grad(), LiveBytes() as live:
        probe.run(module, Shape(batch=1, side=side, tokens=0), torch.float32)
    return live.most
