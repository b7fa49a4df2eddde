"""The adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorasweep.registry import Registry
from lorasweep.schema.option import option

ADAPTERS: Registry[Any] = Registry(
    "kind of adapter",
    "lorasweep.adapters",
    {
        "lora": "lorasweep.adapters.kinds.lora:ADAPTER",
        "loha": "lorasweep.adapters.kinds.loha:ADAPTER",
        "lokr": "lorasweep.adapters.kinds.lokr:ADAPTER",
        "full": "lorasweep.adapters.kinds.full:ADAPTER",
    },
)
"""What each name stands for (`adapters.kinds.kind`); packages of a user's own add names by entry points."""


@dataclass
class NetworkConfig:
    """The adapter."""

    type: str = option(
        "lora",
        "lora: B A, low-rank factors. loha: the elementwise product of two such. lokr: a Kronecker product. full: no "
        "adapter, all weights",
        choices=ADAPTERS,
        kohya=("network_module", "algo"),
    )
    rank: int = option(
        16,
        "rank of the update; of loha's two products; of lokr's larger factor, which is kept "
        "whole where it is at most twice the rank wide and high",
        at_least=1,
        kohya="network_dim",
        aliases=("dim", "lora_dim", "lora_rank", "r"),
        needs="network.type!=full",
        brought=True,
    )
    alpha: float = option(
        8.0,
        "the update is scaled by alpha / rank; by 1 in lokr's layers with whole factors",
        above=0,
        kohya="network_alpha",
        aliases="lora_alpha",
        needs="network.type!=full",
        brought=True,
    )
    ranks: list[str] = option(
        [],
        "ranks of some layers, [PATTERN:RANK,...]: the first whose regular expression is found in the layer's name "
        "counts; PATTERN:RANK/ALPHA sets alpha too, else alpha / rank stays",
        needs="network.type!=full",
    )
    rslora: bool = option(
        False,
        "rank-stabilised: the update is scaled by alpha / sqrt(rank) instead",
        kohya="rs_lora",
        aliases="use_rslora",
        needs="network.type!=full",
    )
    dropout: float = option(
        0.0,
        "dropout on the adapter's input",
        at_least=0,
        below=1,
        kohya="network_dropout",
        aliases="lora_dropout",
        needs="network.type=lora",
    )
    rank_dropout: float = option(
        0.0,
        "share of an image's ranks that sit out a step, the others scaled up; of loha and lokr: of the update's rows",
        at_least=0,
        below=1,
        needs="network.type!=full",
    )
    module_dropout: float = option(
        0.0,
        "share of layers whose update sits out a step (a forward), not scaled up",
        at_least=0,
        below=1,
        needs="network.type!=full",
    )
    max_norm: float | None = option(
        None,
        "cap on the Frobenius norm of each layer's update after every step",
        above=0,
        kohya="scale_weight_norms",
        needs="network.type!=full",
    )
    dora: bool = option(
        False,
        "DoRA: the length of each input column of the adapted weight is learned besides (LyCORIS: dora_wd)",
        kohya="dora_wd",
        aliases="use_dora",
        needs="network.type=lora",
    )
    factor: int = option(
        -1,
        "lokr: the smaller side of the Kronecker product is the divisor next to this; -1: near the square root",
        needs="network.type=lokr",
    )
    decompose_both: bool = option(
        False, "lokr: the smaller factor gets low rank too where it is large enough", needs="network.type=lokr"
    )
    tucker: bool = option(
        False,
        "loha: convolutions keep their kernel in a core tensor of rank x rank",
        kohya="use_tucker",
        needs=("network.type=loha", "network.convolutions"),
    )
    start_from: str | None = option(
        None,
        "LoRA's .safetensors file, of any program, that training starts from; null: the adapter starts at zero",
        kohya="network_weights",
        path=True,
        needs="network.type!=full",
    )
    attention: bool = option(
        True, "adapt the denoiser's attention (to_q, to_k, to_v, to_out)", needs="network.type!=full"
    )
    feed_forward: bool = option(
        True, "adapt the feed-forward layers of its transformer blocks", needs="network.type!=full"
    )
    projections: bool = option(True, "adapt proj_in and proj_out of its transformer blocks", needs="network.type!=full")
    convolutions: bool = option(
        False, "adapt the convolutions of its ResNet blocks and resamplers", needs="network.type!=full"
    )

    @property
    def draws(self) -> bool:
        """Whether forwards in training draw from the global generator."""
        return bool(self.dropout or self.rank_dropout or self.module_dropout)

    @property
    def quantizations(self) -> tuple[str, ...]:
        """The values of `base_model.quantization` with which this adapter can be trained.

        DoRA and a full fine-tune need the base's own weights.
        """
        if self.dora:
            return ()
        found: tuple[str, ...] = ADAPTERS[self.type].quantizations
        return found
