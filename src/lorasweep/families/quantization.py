"""The frozen denoiser in 8 or 4 bit: those of its linear layers that its family chooses.

They are packed once, after loading, and unpacked one at a time where they are used, in the run's precision: what they
compute is a product with the rounded weight, in the forward and in the backward pass. Text encoders stay as they are:
frozen, they leave the GPU once their outputs are cached; trained, they are small beside the denoiser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import ceil
from typing import Any

import bitsandbytes
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lorasweep.families.parts import Part

NF4_BLOCK = 64
"""Weights in 4 bit that share a scale; the scales are kept in 8 bit."""
NF4_SCALES = 256
"""Scales in 8 bit that share a scale in fp32."""
FP32 = 4  # bytes


def quantize(module: nn.Module, part: Part, kind: str, device: str) -> None:
    """Pack the layers of `quantizable` on a device, one by one, so that it never has to hold all of them whole.

    Args:
        module: without adapters.
        part: what it is of its base.
        kind: one of KINDS.
        device: where the packed layers are left.
    """
    for path, layer in quantizable(module, part).items():
        module.set_submodule(path, KINDS[kind](layer.to(device)))
    # PEFT has a LoRA layer of its own for bitsandbytes' layers, and asks the model whether to use it.
    setattr(module, "is_loaded_in_4bit", kind == "nf4")  # noqa: B010  nn.Module is not declared to have it


def quantizable(module: nn.Module, part: Part) -> dict[str, nn.Linear]:
    """Return the linear layers that are packed, by path.

    Args:
        module: without adapters.
        part: what it is of its base.
    """
    if part.packed is None:
        return {}
    chosen = re.compile(part.packed)
    return {
        path: layer for path, layer in module.named_modules() if isinstance(layer, nn.Linear) and chosen.search(path)
    }


def packed_bytes(layer: nn.Linear, kind: str) -> int:
    """Return the size of a layer's weight once it is packed as "int8" or "nf4", scales included."""
    weights = layer.in_features * layer.out_features
    if kind == "int8":
        return weights + FP32 * layer.out_features
    scales = ceil(weights / NF4_BLOCK)
    return ceil(weights / 2) + scales + FP32 * ceil(scales / NF4_SCALES)


class NF4Linear(bitsandbytes.nn.Linear4bit):
    """A frozen linear layer in 4-bit NormalFloat with double quantisation (QLoRA, arXiv 2305.14314)."""

    def __init__(self, layer: nn.Linear) -> None:
        """Pack the weight of `layer` on its device."""
        device, dtype = layer.weight.device, layer.weight.dtype
        super().__init__(layer.in_features, layer.out_features, bias=False, compute_dtype=dtype, device="meta")
        weight = bitsandbytes.nn.Params4bit(
            layer.weight.detach(), quant_type="nf4", compress_statistics=True, blocksize=NF4_BLOCK, module=self
        )
        self.weight = weight.to(device)  # which packs it
        self.bias = layer.bias
        # On some CPUs bitsandbytes would repack the weight for inference, lossily and in place.
        self.support_avx512bf16_for_cpu = False

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b, (..., out) for (..., in)."""
        return super().forward(_as_autocast(x))


class Int8Linear(nn.Linear):
    """A frozen linear layer in 8 bit, with a scale for each output: W = scale * q, q a whole number in [-127, 127].

    Only weights are rounded. bitsandbytes' own layer rounds the inputs too (LLM.int8), and keeps them for the backward
    pass where gradient checkpointing does not see them.
    """

    scale: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        """Pack the weight of `layer` on its device."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        weight = layer.weight.detach().float()
        scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        self.weight = nn.Parameter((weight / scale).round().to(torch.int8), requires_grad=False)
        self.bias = layer.bias
        self.register_buffer("scale", scale, persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Int8Linear:
        scale = self.scale
        super()._apply(fn, recurse)
        self.scale = scale.to(self.weight.device)  # in 16 bit it would add an error as large as the rounding's
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b, (..., out) for (..., in)."""
        x = _as_autocast(x)
        product: Tensor = _Int8Product.apply(x, self.weight, self.scale, self.bias)
        return product


class _Int8Product(torch.autograd.Function):
    """x W^T + b with a packed W, unpacked again for the backward pass instead of being kept; W and b are frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, scale)
        return linear(x, _unpacked(weight, scale, x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        weight, scale = ctx.saved_tensors
        return gradient @ _unpacked(weight, scale, gradient.dtype), None, None, None


def _unpacked(weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    return (weight * scale).to(dtype)


def _as_autocast(x: Tensor) -> Tensor:
    """Return inputs in the precision in which autocast would have a linear layer compute."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


KINDS: dict[str, Callable[[nn.Linear], nn.Linear]] = {"int8": Int8Linear, "nf4": NF4Linear}
