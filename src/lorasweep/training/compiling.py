"""Compiling what a step repeats: the UNet's transformer blocks, each by itself ("regional").

A small batch is bound by the launches of many small kernels, of which the blocks with their adapters have most. The
block is compiled once and used for all of its copies, so that compiling takes a fraction of the whole UNet's time.
"""

from __future__ import annotations

from collections.abc import Iterator

from diffusers import UNet2DConditionModel
from torch import nn

BACKEND = "inductor"
"""torch.compile's own default."""


def compile_blocks(unet: UNet2DConditionModel) -> None:
    """Let every transformer block compile itself at its first forward; adapters must be in place already.

    A block is compiled anew when it is used differently: in training and evaluation, with and without adapter; other
    batch and image sizes make it general in them once.
    """
    unet.compile_repeated_blocks(backend=BACKEND)


def forget_compiled(unet: nn.Module) -> None:
    """Let every block run as written again."""
    for block in compiled_blocks(unet):
        block._compiled_call_impl = None  # what `nn.Module.compile` sets; there is no public way back


def compiled_blocks(unet: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks that are, or will be, compiled."""
    return (module for module in unet.modules() if module._compiled_call_impl is not None)
