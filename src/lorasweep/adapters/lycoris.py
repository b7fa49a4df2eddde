"""LoHa (FedPara, arXiv 2108.06098) and LoKr (2212.10650): more rank for as many weights, by other products."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoHaConfig, LoKrConfig
from peft.tuners.loha.layer import LoHaLayer
from peft.tuners.lokr.layer import LoKrLayer
from torch import Tensor, nn

from lorasweep.adapters.injected import InjectedAdapter


class LohaAdapter(InjectedAdapter):
    """W + scale * (w1_a @ w1_b) o (w2_a @ w2_b), o the elementwise product.

    `hada_w*_a` is (out, rank), `hada_w*_b` (rank, in * kernel). With `network.tucker` a convolution has cores
    `hada_t*` (rank, rank, k, k) besides, between `hada_w*_a` (rank, out) and `hada_w*_b` (rank, in).
    """

    layer_type = LoHaLayer

    def _config(self, pattern: str, ranks: dict[str, int]) -> LoHaConfig:
        network = self.network
        return LoHaConfig(
            r=network.rank,
            rank_dropout=network.rank_dropout,
            module_dropout=network.module_dropout,
            use_effective_conv2d=network.tucker,
            target_modules=pattern,
            rank_pattern=ranks,
        )

    def _slots(self, layer: Any) -> dict[str, tuple[nn.Module, str]]:
        return _held(layer, self._key)


class LokrAdapter(InjectedAdapter):
    """W + scale * kron(w1, w2), where in and out are each split into two factors (`network.factor`).

    `lokr_w1` and `lokr_w2` are whole or products `_a @ _b` of `network.rank`. Where both are whole, scale is 1 whatever
    alpha is: LyCORIS and ComfyUI know no rank there. There is no tucker decomposition: ComfyUI hands torch.kron a
    tensor that is not contiguous, which raises, and leaves such a layer out.
    """

    layer_type = LoKrLayer

    def _config(self, pattern: str, ranks: dict[str, int]) -> LoKrConfig:
        network = self.network
        return LoKrConfig(
            r=network.rank,
            rank_dropout=network.rank_dropout,
            rank_dropout_scale=True,
            module_dropout=network.module_dropout,
            decompose_factor=network.factor,
            decompose_both=network.decompose_both,
            target_modules=pattern,
            rank_pattern=ranks,
        )

    def _slots(self, layer: Any) -> dict[str, tuple[nn.Module, str]]:
        return _held(layer, self._key)

    def _prepare(self, layer: Any) -> None:
        if {"lokr_w1", "lokr_w2"} <= _held(layer, self._key).keys():
            layer.scaling[self._key] = 1.0

    def _norm(self, layer: Any, factors: dict[str, nn.Parameter]) -> Tensor:
        """|kron(w1, w2)| = |w1| |w2|."""
        left = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
        right = factors["lokr_w2"] if "lokr_w2" in factors else factors["lokr_w2_a"] @ factors["lokr_w2_b"]
        return layer.scaling[self._key] * torch.linalg.vector_norm(left) * torch.linalg.vector_norm(right)


def _held(layer: Any, key: str) -> dict[str, tuple[nn.Module, str]]:
    """A layer's factors: PEFT keeps each in a dict of its own, by adapter."""
    return {name: (getattr(layer, name), key) for name in layer.adapter_layer_names if key in getattr(layer, name)}
