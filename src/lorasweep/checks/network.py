"""The adapter."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.config import Config


def _network(config: Config) -> Iterator[str]:
    network = config.network
    if not (network.attention or network.feed_forward or network.projections or network.convolutions):
        yield (
            "network.attention=false, network.feed_forward=false, network.projections=false and "
            "network.convolutions=false leave nothing of the UNet to train: set one of them to true"
        )


RULES = (_network,)
