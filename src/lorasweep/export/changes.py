"""What a layer of an adapter's file does to the weight that it is for: the change that loaders add.

The formulas are those of `export.weights`, which ComfyUI, A1111 and LyCORIS share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from lorasweep.export.layers import ALPHA, DORA, DOWN, PEFT_DORA, UP, rank_of

MID = ".lora_mid.weight"
DIFFERENCE = ".diff"
"""LyCORIS' name for a change that is written whole."""

_KNOWN = (
    {DOWN, UP},
    {DOWN, UP, MID},
    {DIFFERENCE},
    {".hada_w1_a", ".hada_w1_b", ".hada_w2_a", ".hada_w2_b"},
    {".hada_w1_a", ".hada_w1_b", ".hada_w2_a", ".hada_w2_b", ".hada_t1", ".hada_t2"},
    *(
        left | right
        for left in ({".lokr_w1"}, {".lokr_w1_a", ".lokr_w1_b"})
        for right in ({".lokr_w2"}, {".lokr_w2_a", ".lokr_w2_b"}, {".lokr_w2_a", ".lokr_w2_b", ".lokr_t2"})
    ),
)
_BESIDE = {ALPHA, DORA, PEFT_DORA}


def problem(ends: Collection[str]) -> str | None:
    """Return why the tensors of a layer are no change that is known here; None where they are.

    Args:
        ends: of their names, such as `.lora_up.weight`.
    """
    given = set(ends) - _BESIDE
    if given in _KNOWN:
        return None
    return f"{', '.join(sorted(end[1:] for end in given)) or 'an alpha alone'} is no whole layer of a known kind"


def scale(tensors: Mapping[str, Tensor]) -> float:
    """Return alpha / rank of a layer; 1 where it has no alpha, or no rank.

    Args:
        tensors: of the layer, by the end of their names.
    """
    rank = rank_of(tensors)
    return tensors[ALPHA].item() / rank if ALPHA in tensors and rank else 1.0


def change(tensors: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """Return what a layer of a file adds to a weight at strength 1, in fp32 and the weight's shape.

    Args:
        tensors: of the layer, by the end of their names; `problem` finds nothing wrong with them.
        weight: (out, in) or (out, in, k, k), as it is without the layer.

    Raises:
        RuntimeError: the layer is for a weight of other sizes.
    """
    parts = {end: tensor.to(weight.device, torch.float32) for end, tensor in tensors.items()}
    update = (_product(parts) * scale(tensors)).reshape(weight.shape)
    magnitude = parts.get(DORA, parts.get(PEFT_DORA))
    if magnitude is None:
        return update
    original = weight.float()
    changed = original + update
    # DoRA's lengths are of input columns (ours, LyCORIS' first) or of output rows (PEFT's, LyCORIS' later).
    rows = PEFT_DORA in parts or magnitude.shape[0] == weight.shape[0] != 1
    axes = [axis for axis in range(weight.dim()) if axis != (0 if rows else 1)]
    lengths = torch.linalg.vector_norm(changed, dim=axes, keepdim=True)
    return changed * (magnitude.reshape(lengths.shape) / lengths) - original


def _product(parts: Mapping[str, Tensor]) -> Tensor:
    if DIFFERENCE in parts:
        return parts[DIFFERENCE]
    if UP in parts:
        up, down = parts[UP], parts[DOWN]
        if MID in parts:
            return torch.einsum("or,rskl,si->oikl", up.flatten(1), parts[MID], down.flatten(1))
        return up.flatten(1) @ down.flatten(1)
    if ".hada_w1_a" in parts:
        return _hada(parts, "1") * _hada(parts, "2")
    left = parts[".lokr_w1"] if ".lokr_w1" in parts else parts[".lokr_w1_a"] @ parts[".lokr_w1_b"]
    right = _lokr_right(parts)
    return torch.kron(left.reshape(*left.shape, *[1] * (right.dim() - left.dim())), right.contiguous())


def _hada(parts: Mapping[str, Tensor], number: str) -> Tensor:
    first, second, core = parts[f".hada_w{number}_a"], parts[f".hada_w{number}_b"], parts.get(f".hada_t{number}")
    return first @ second if core is None else torch.einsum("ijkl,jr,ip->prkl", core, second, first)


def _lokr_right(parts: Mapping[str, Tensor]) -> Tensor:
    if ".lokr_w2" in parts:
        return parts[".lokr_w2"]
    first, second, core = parts[".lokr_w2_a"], parts[".lokr_w2_b"], parts.get(".lokr_t2")
    return first @ second if core is None else torch.einsum("ijkl,ip,jr->prkl", core, first, second)
