"""Where an adapter starts: at zero, or at an existing weights file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorasweep import files
from lorasweep.adapters.adapter import Adapter
from lorasweep.adapters.targets import TEXT_ENCODERS
from lorasweep.config import NetworkConfig
from lorasweep.console import say
from lorasweep.errors import UserError
from lorasweep.export.weights import import_tensors, read_weights


def begin_from(adapter: Adapter, network: NetworkConfig, unet_config: Mapping[str, Any]) -> str | None:
    """Give a new adapter the values of the weights file `network.start_from`, if there is one.

    Layers that the file lacks start anew. The file must hold nothing that this run does not train: it would be lost.

    Args:
        adapter: a new adapter of the settings `network`. unet_config: the config of its base's UNet.

    Returns:
        The file's SHA-256, or None without a file.

    Raises:
        UserError: the file cannot be read, is of another kind, rank or alpha, or holds layers that are not trained.
    """
    if network.start_from is None:
        return None
    path = Path(network.start_from)
    _take_over(adapter, path, network, unet_config)
    return files.sha256_of(path)


def _take_over(adapter: Adapter, path: Path, network: NetworkConfig, unet_config: Mapping[str, Any]) -> None:
    tensors, _ = read_weights(path)
    state = import_tensors(tensors, network, unet_config)
    own = adapter.state()
    if extra := sorted({_layer(name) for name in state} - {_layer(name) for name in own}):
        raise UserError(
            [_untrained(layer) for layer in extra[:3]]
            + ([f"... {len(extra)} layers in all"] if len(extra) > 3 else []),
            title=f"{path} holds layers that this run does not train",
        )
    given = {_layer(name) for name in state}
    new = {name: values for name, values in own.items() if _layer(name) not in given}
    adapter.load(new | state)
    if new:
        layers = sorted({_layer(name) for name in new})
        say(f"{len(layers)} layers that {path.name} lacks start anew, such as {layers[0]}")


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _untrained(layer: str) -> str:
    component = layer.partition(".")[0]
    if component in TEXT_ENCODERS:
        which = "text_encoder_lr" if component == TEXT_ENCODERS[0] else "text_encoder_2_lr"
        return f"{layer}: train that encoder with optimizer.{which}=..."
    return f"{layer}: train it with network=lora or network=convolutions"
