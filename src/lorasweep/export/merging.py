"""Several adapters as one file: their changes added up, exactly or at the nearest of a lower rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lorasweep.export.changes import change, scale
from lorasweep.export.layers import ALPHA, DORA, DOWN, PEFT_DORA, UP, FileLayers
from lorasweep.families.naming import Naming

Layer = Mapping[str, Tensor]


def merged_tensors(
    adapters: Sequence[tuple[FileLayers, float]], weights: Mapping[str, Tensor], naming: Naming, rank: int | None = None
) -> tuple[dict[str, Tensor], float]:
    """Return the tensors of one LoRA that changes a base as several adapters do together.

    Of LoRAs the factors are put side by side, which is exact: the rank is the sum of theirs. With a rank, and of other
    kinds, the sum is cut to the nearest of that rank (Eckart and Young: its largest singular values).

    Args:
        adapters: with their strengths.
        weights: of the base, by layer.
        naming: of the base.
        rank: of each layer; None: as many as an exact sum takes.

    Returns:
        fp16 tensors by kohya's names, and the share of the sum's squared norm that the cut lost, in [0, 1].
    """
    found: dict[str, Tensor] = {}
    lost = whole = 0.0
    layers = dict.fromkeys(layer for each, _ in adapters for layer in each.tensors)
    for layer in layers:
        given = [(each.tensors[layer], strength) for each, strength in adapters if layer in each.tensors]
        weight = weights[layer]
        if rank is None and all(_is_plain(tensors) for tensors, _ in given):
            down, up = _side_by_side(given)
        else:
            total = sum((change(tensors, weight) * strength for tensors, strength in given), torch.zeros(()))
            down, up, squares = _cut(total, rank or sum(_rank(tensors, weight) for tensors, _ in given))
            lost, whole = lost + squares[0], whole + squares[1]
        name, size = naming.in_file(layer), down.shape[0]
        kernel = weight.shape[2:]
        found[name + DOWN] = down.reshape(size, weight.shape[1], *kernel).half().contiguous()
        found[name + UP] = up.reshape(weight.shape[0], size, *[1] * len(kernel)).half().contiguous()
        found[name + ALPHA] = torch.tensor(float(size), dtype=torch.float16)
    return found, lost / whole if whole else 0.0


def _is_plain(tensors: Layer) -> bool:
    return tensors.keys() - {ALPHA} == {DOWN, UP}


def _side_by_side(given: Sequence[tuple[Layer, float]]) -> tuple[Tensor, Tensor]:
    """Return factors whose product is the sum; both get a part of the strength, so that half precision holds them."""
    downs, ups = [], []
    for tensors, strength in given:
        factor = scale(tensors) * strength
        root = math.sqrt(abs(factor))
        downs.append(tensors[DOWN].float().flatten(1) * root)
        ups.append(tensors[UP].float().flatten(1) * math.copysign(root, factor))
    return torch.cat(downs), torch.cat(ups, dim=1)


def _cut(total: Tensor, rank: int) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Return the factors of the nearest matrix of a rank, and the squared norms of what is lost and of the whole."""
    left, values, right = torch.linalg.svd(total.flatten(1), full_matrices=False)
    kept = min(rank, len(values))
    roots = values[:kept].sqrt()
    squares = (values**2).double()
    return right[:kept] * roots[:, None], left[:, :kept] * roots, (float(squares[kept:].sum()), float(squares.sum()))


def _rank(tensors: Layer, weight: Tensor) -> int:
    """Return the rank that a layer's change has at most; of what is no plain LoRA, a whole one's."""
    plain = not {DORA, PEFT_DORA} & tensors.keys() and UP in tensors
    return tensors[UP].shape[1] if plain else min(weight.flatten(1).shape)
