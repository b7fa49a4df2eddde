"""LoHa (FedPara, arXiv 2108.06098): more rank for as many weights, by the elementwise product of two updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from peft import LoHaConfig
from peft.tuners.loha.layer import LoHaLayer
from torch import nn

from lorasweep.adapters.injected import InjectedAdapter, peft_factors


class LohaAdapter(InjectedAdapter):
    """W + scale * (w1_a @ w1_b) o (w2_a @ w2_b), o the elementwise product.

    `hada_w*_a` is (out, rank), `hada_w*_b` (rank, in * kernel). With `network.tucker` a convolution has cores
    `hada_t*` (rank, rank, k, k) besides, between `hada_w*_a` (rank, out) and `hada_w*_b` (rank, in).
    """

    layer_type = LoHaLayer
    # LyCORIS' standard deviations.
    starts: ClassVar[Mapping[str, float]] = {
        "hada_w1_a": 0.1,
        "hada_w1_b": 1.0,
        "hada_w2_a": 0.0,
        "hada_w2_b": 1.0,
        "hada_t1": 0.1,
        "hada_t2": 0.1,
    }

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
        return peft_factors(layer, self._key)
