"""Where an adapter starts: at zero, or at an existing weights file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lorasweep import files
from lorasweep.adapters.adapter import Adapter
from lorasweep.adapters.targets import target_pattern
from lorasweep.console.lines import echo
from lorasweep.errors import UserError
from lorasweep.export.importing import adapter_state
from lorasweep.export.layers import peft_settings, read_layers
from lorasweep.export.weights import read_weights
from lorasweep.families.kinds import kind_of
from lorasweep.families.naming import Naming
from lorasweep.families.parts import Part, learning_rates
from lorasweep.schema import Config, NetworkConfig


def examine(config: Config, naming: Naming) -> None:
    """Refuse a file `network.start_from` that the run could not start from, before anything is made for it.

    Args:
        config: the run's.
        naming: of its base.

    Raises:
        UserError: as `load_start` does, but for layers of another base's sizes.
    """
    if config.network.start_from is not None:
        components = learning_rates(naming.parts, config.optimizer)
        _read(Path(config.network.start_from), config.network, components, naming)


def load_start(adapter: Adapter, network: NetworkConfig, naming: Naming) -> str | None:
    """Give a new adapter the values of the weights file `network.start_from`, if there is one.

    Layers that the file lacks start anew. It must hold nothing that this run could train and does not: that would be
    lost. Tensors of layers that no adapter can have are left out, and named.

    Args:
        adapter: a new adapter of the settings `network`.
        naming: of its base.

    Returns:
        The file's SHA-256, or None without a file.

    Raises:
        UserError: the file cannot be read, holds no LoRA of this family or NaN, is of another kind, rank, alpha or
            base, or holds layers that are not trained.
    """
    if network.start_from is None:
        return None
    path, own = Path(network.start_from), adapter.state()
    state, unused = _read(path, network, {name.partition(".")[0] for name in own}, naming)
    given = {_layer(name) for name in state}
    new = {name: values for name, values in own.items() if _layer(name) not in given}
    _same_sizes(path, state, own)
    adapter.load(new | state)
    if unused:
        echo(f"{len(unused)} tensors of {path.name} are of layers that no adapter has here: {unused[0]} is not used")
    if new:
        layers = sorted({_layer(name) for name in new})
        echo(f"{len(layers)} layers that {path.name} lacks start anew, such as {layers[0]}")
    return files.sha256_of(path)


def _read(
    path: Path, network: NetworkConfig, components: Collection[str], naming: Naming
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the adapter's state in a file, and the names of tensors in it that no adapter can have."""
    tensors, metadata = read_weights(path)
    if bad := [name for name, tensor in tensors.items() if not torch.isfinite(tensor.float()).all()]:
        raise UserError(
            f"{len(bad)} of its {len(tensors)} tensors hold NaN or infinity, the first is {bad[0]}: the training that "
            "wrote it had diverged; take an earlier file of it",
            title=_title(path),
        )
    layers = read_layers(tensors, naming, peft_settings(path, metadata))
    if not layers.tensors:
        kind = kind_of({name: tuple(tensor.shape) for name, tensor in tensors.items()}) if tensors else "an empty file"
        first = f", such as {next(iter(tensors))}" if tensors else ""
        raise UserError(
            f"it is {kind} and has no layer of {naming.title} in its {len(tensors)} tensors{first}; "
            "expected a LoRA that was made for this base",
            title=_title(path),
        )
    try:
        state = adapter_state(layers, network)
    except UserError as error:
        raise UserError(error.problems, title=_title(path)) from None
    if extra := [layer for layer in layers.tensors if not _trained(layer, network, components, naming)]:
        raise UserError(_cures(extra, components, naming), title=f"{path} holds layers that this run does not train")
    return state, list(layers.others)


def _same_sizes(path: Path, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse a file whose layers have other inputs or outputs than this base's.

    Raises:
        UserError: how many have, and the first.
    """
    other = [name for name, values in state.items() if name in own and values.shape != own[name].shape]
    if other:
        shapes = [list(tensors[other[0]].shape) for tensors in (state, own)]
        raise UserError(
            f"{len({_layer(name) for name in other})} of its layers are for another base: {other[0]} has the shape "
            f"{shapes[0]}, here it is {shapes[1]}; give the base that it was trained on, or another file",
            title=_title(path),
        )


def _trained(layer: str, network: NetworkConfig, components: Collection[str], naming: Naming) -> bool:
    part, path = _part_of(layer, naming), layer.partition(".")[2]
    return part.name in components and re.fullmatch(target_pattern(part, network), path) is not None


def _part_of(layer: str, naming: Naming) -> Part:
    return next(part for part in naming.parts if part.name == layer.partition(".")[0])


def _cures(layers: Sequence[str], components: Collection[str], naming: Naming) -> list[str]:
    """Return for each kind of layers that are not trained what trains them."""
    kinds: dict[str, list[str]] = {}
    for layer in layers:
        kinds.setdefault(_cure(layer, components, _part_of(layer, naming)), []).append(layer)
    return [f"{found[0]} ({len(found)} such): train them with {cure}" for cure, found in kinds.items()]


def _cure(layer: str, components: Collection[str], part: Part) -> str:
    key = next((key for key, pattern in part.layers.items() if re.fullmatch(f".*({pattern})", layer)), "")
    if not key or part.name not in components:
        return f"optimizer.{part.rates[0]}=RATE"
    return f"network.{key}=true, as network={'convolutions' if key == 'convolutions' else 'lora'} does"


def _title(path: Path) -> str:
    return f"network.start_from={path} does not fit this run"


def _layer(name: str) -> str:
    return name.rpartition(".")[0]
