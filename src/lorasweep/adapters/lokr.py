"""LoKr (arXiv 2212.10650): more rank for as many weights, by a Kronecker product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from peft import LoKrConfig
from peft.tuners.lokr.layer import LoKrLayer
from torch import Tensor, nn

from lorasweep.adapters.injected import InjectedAdapter, peft_factors


class LokrAdapter(InjectedAdapter):
    """W + scale * kron(w1, w2), where in and out are each split into two factors (`network.factor`).

    `lokr_w1` and `lokr_w2` are whole or products `_a @ _b` of `network.rank`. Where both are whole, scale is 1 whatever
    alpha is: LyCORIS and ComfyUI know no rank there. There is no tucker decomposition: ComfyUI hands torch.kron a
    tensor that is not contiguous, which raises, and leaves such a layer out.
    """

    layer_type = LoKrLayer
    starts: ClassVar[Mapping[str, float]] = {"lokr_w2": 0.0, "lokr_w2_b": 0.0}

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
        return peft_factors(layer, self._key)

    def _prepare(self, layer: Any) -> None:
        if {"lokr_w1", "lokr_w2"} <= peft_factors(layer, self._key).keys():
            layer.scaling[self._key] = 1.0

    def _norm(self, layer: Any, factors: dict[str, nn.Parameter]) -> Tensor:
        """|kron(w1, w2)| = |w1| |w2|."""
        left = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
        right = factors["lokr_w2"] if "lokr_w2" in factors else factors["lokr_w2_a"] @ factors["lokr_w2_b"]
        return layer.scaling[self._key] * torch.linalg.vector_norm(left) * torch.linalg.vector_norm(right)
