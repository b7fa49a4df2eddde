"""What tests read out of weights files."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lorasweep.export.importing import adapter_state
from lorasweep.export.layers import read_layers
from lorasweep.families.naming import Naming
from lorasweep.schema import NetworkConfig


def state_in(tensors: Mapping[str, Tensor], network: NetworkConfig, naming: Naming) -> dict[str, Tensor]:
    """The state of an adapter of the settings `network` in a weights file's tensors, none of which may be left over."""
    layers = read_layers(tensors, naming)
    assert not layers.others
    return adapter_state(layers, network)
