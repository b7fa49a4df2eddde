"""How much two adapters get in each other's way: the angle between their changes of each weight, and of its spaces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorasweep.evaluation.weights import AdapterFile
from lorasweep.export.changes import change
from lorasweep.export.layers import DORA, PEFT_DORA, UP, rank_of

MOST_DIRECTIONS = 64
"""Directions of a change that are compared at most."""


@dataclass(frozen=True)
class LayerOverlap:
    """Two changes of one weight.

    Attributes:
        layer: its stable name.
        cosine: of the two as vectors, in [-1, 1]: above 0 they pull the same way, below 0 against each other.
        overlap: of the spaces that they write into, in [0, 1]: |Q1' Q2|^2 / the smaller rank, for orthonormal bases Q
            of their columns. 1: one lies in the other.
        expected: what spaces of these ranks overlap by chance: the larger rank / the outputs.
        norms: of the two.
    """

    layer: str
    cosine: float
    overlap: float
    expected: float
    norms: tuple[float, float]


@dataclass(frozen=True)
class Interference:
    """Two adapters.

    Attributes:
        layers: those that both change, the ones with the largest product of changes first.
        cosine: of all changes of both, as two vectors.
        overlap: mean over the layers, weighted by the product of the norms; NaN without common layers.
        expected: the same of what chance gives.
        alone: how many layers only one of them changes.
    """

    layers: Sequence[LayerOverlap]
    cosine: float
    overlap: float
    expected: float
    alone: int


@torch.no_grad()
def interference(first: AdapterFile, second: AdapterFile, modules: Mapping[str, nn.Module]) -> Interference:
    """Return how two adapters overlap, layer by layer.

    Args:
        first: read for a base.
        second: read for the same base.
        modules: of that base (`weights.modules_of`).
    """
    ours, theirs = first.layers.tensors, second.layers.tensors
    common = [layer for layer in ours if layer in theirs]
    layers = [_layer(layer, ours[layer], theirs[layer], modules[layer]) for layer in common]
    squares = [0.0, 0.0]
    for index, tensors in enumerate((ours, theirs)):
        known = {each.layer: each.norms[index] for each in layers}
        squares[index] = sum(
            (known[layer] if layer in known else _norm(parts, modules[layer])) ** 2 for layer, parts in tensors.items()
        )
    products = [math.prod(each.norms) for each in layers]
    inner, total = sum(p * each.cosine for p, each in zip(products, layers, strict=True)), sum(products)
    lengths = math.sqrt(squares[0] * squares[1])

    def weighted(values: Sequence[float]) -> float:
        return sum(p * value for p, value in zip(products, values, strict=True)) / total if total else math.nan

    return Interference(
        layers=[each for _, each in sorted(zip(products, layers, strict=True), key=lambda pair: -pair[0])],
        cosine=inner / lengths if lengths else 0.0,
        overlap=weighted([each.overlap for each in layers]),
        expected=weighted([each.expected for each in layers]),
        alone=len(ours.keys() ^ theirs.keys()),
    )


def _layer(layer: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], module: nn.Module) -> LayerOverlap:
    weight = _weight(module)
    changes = [change(tensors, weight).flatten(1) for tensors in (ours, theirs)]
    norms = [float(torch.linalg.vector_norm(each)) for each in changes]
    inner = float((changes[0] * changes[1]).sum())
    bases = [_columns(tensors, update) for tensors, update in zip((ours, theirs), changes, strict=True)]
    smaller, larger = sorted(base.shape[1] for base in bases)
    shared = float(((bases[0].T @ bases[1]) ** 2).sum()) / smaller if smaller else 0.0
    return LayerOverlap(
        layer,
        inner / math.prod(norms) if math.prod(norms) else 0.0,
        shared,
        larger / weight.shape[0],
        (norms[0], norms[1]),
    )


def _columns(tensors: Mapping[str, Tensor], update: Tensor) -> Tensor:
    """Return an orthonormal basis (out, rank) of what a change writes into; without directions that carry nothing."""
    rank = min(rank_of(tensors) or MOST_DIRECTIONS, MOST_DIRECTIONS, *update.shape)
    if UP in tensors and not {DORA, PEFT_DORA} & tensors.keys():
        basis, lengths, _ = torch.linalg.svd(tensors[UP].to(update).flatten(1), full_matrices=False)
    else:
        basis, lengths, _ = torch.svd_lowrank(update, q=rank)
    return basis[:, lengths > lengths.max() * 1e-4]


def _norm(tensors: Mapping[str, Tensor], module: nn.Module) -> float:
    return float(torch.linalg.vector_norm(change(tensors, _weight(module))))


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.detach()
