"""The adapter's settings as sd-scripts and LyCORIS write them into a file's metadata."""

from __future__ import annotations

from typing import Any

from lorasweep.adapters.kinds.kind import adapter_kind
from lorasweep.schema import NetworkConfig

KOHYA, LYCORIS = "networks.lora", "lycoris.kohya"


def network_metadata(network: NetworkConfig) -> dict[str, Any]:
    """Return the `ss_network_*` keys and `ss_scale_weight_norms`; none for a full fine-tune.

    `ss_network_args` is a dict of strings. What sd-scripts' own LoRA cannot do has LyCORIS' module and names there:
    LoHa, LoKr, DoRA, rank-stabilised scaling.
    """
    kind = adapter_kind(network.type)
    if not kind.ends:
        return {}
    lycoris = kind.has_lycoris_module(network)
    arguments: dict[str, Any] = {
        "conv_dim": network.rank if network.convolutions else None,
        "conv_alpha": network.alpha if network.convolutions else None,
        "rank_dropout": network.rank_dropout or None,
        "module_dropout": network.module_dropout or None,
        "algo": network.type if lycoris else None,
        **kind.arguments(network),
    }
    return {
        "ss_network_module": LYCORIS if lycoris else KOHYA,
        "ss_network_dim": network.rank,
        "ss_network_alpha": network.alpha,
        "ss_network_dropout": network.dropout or None,
        "ss_network_args": {name: str(value) for name, value in arguments.items() if value is not None},
        "ss_scale_weight_norms": network.max_norm,
    }
