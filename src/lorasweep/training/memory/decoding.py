"""The most memory that tensors take at any time while a VAE decodes an image: more than a frugal training does."""

from __future__ import annotations

import json
import weakref
from functools import lru_cache
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made inside this context that are still held.

    Attributes:
        most: the largest count so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._held: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it made."""
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (key := tensor.untyped_storage()._cdata) not in self._held:
                self._held[key] = tensor.untyped_storage().nbytes()
                weakref.finalize(tensor.untyped_storage(), self._held.pop, key, None)
        self.most = max(self.most, sum(self._held.values()))
        return made


@lru_cache(maxsize=16)
def decoding_bytes(settings: str, side: int) -> int:
    """Return what decoding one image takes in 32 bit beside the VAE's weights; encoding one takes less.

    Args:
        settings: the VAE's config as JSON. side: of its latents, which are square.
    """
    with FakeTensorMode(), torch.no_grad():
        vae = AutoencoderKL.from_config(json.loads(settings)).eval()
        latents = torch.empty(1, vae.config.latent_channels, side, side)
        with LiveBytes() as live:
            vae.decode(latents)
    return live.most
