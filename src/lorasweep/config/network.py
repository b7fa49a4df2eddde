"""The adapter."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.config.option import option


@dataclass
class NetworkConfig:
    """The adapter."""

    type: str = option("lora", "kind of adapter", choices=("lora",))
    rank: int = option(16, "rank of the update (kohya: network_dim)", at_least=1)
    alpha: float = option(8.0, "the update is scaled by alpha / rank", at_least=1)
    dropout: float = option(0.0, "dropout on the adapter's input", at_least=0, below=1)
    attention: bool = option(True, "adapt the UNet's attention (to_q, to_k, to_v, to_out)")
    feed_forward: bool = option(True, "adapt the feed-forward layers of its transformer blocks")
    projections: bool = option(True, "adapt proj_in and proj_out of its transformer blocks")
    convolutions: bool = option(False, "adapt the convolutions of its ResNet blocks and resamplers")
