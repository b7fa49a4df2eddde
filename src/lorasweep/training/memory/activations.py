"""How much autograd keeps of a batch for the backward pass: found by running the model, not guessed.

Each trained part is run once with its adapter on tensors without content (torch's fake tensors), and the bytes that are
saved for the backward pass are added up. It is run with the whole batch: copies of weights in 16 bit, a large part of
all in a full fine-tune, are there once for all of its images.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from lorasweep.adapters.adapter import Adapter, build_adapter
from lorasweep.families.base import Family
from lorasweep.families.probe import Probe, Shape
from lorasweep.schema import NetworkConfig
from lorasweep.training.memory.fakes import make_fake


def network_key(network: NetworkConfig) -> str:
    """Return an adapter's settings as JSON, the same for the same settings: as what is found for them is remembered."""
    return json.dumps(asdict(replace(network, start_from=None)), default=str, sort_keys=True)


@lru_cache(maxsize=16)
def saved_activation_bytes(
    probe: Probe, family: Family, network: str, shape: Shape, *, checkpointing: bool, half: bool
) -> int:
    """Return the bytes that a part keeps of a batch; with checkpointing, at the peak of the backward pass.

    Args:
        probe: the part.
        family: of the base.
        network: the adapter's settings, as `network_key` has them.
        shape: of the batch.
        checkpointing: `training.gradient_checkpointing`.
        half: whether it computes in 16 bit, and not in 32.
    """
    module = probe.build().requires_grad_(False).eval()
    whole = json.loads(network)["type"] == "full"
    if whole:
        module.requires_grad_(True)
    else:
        meta_adapter({probe.part: module}, family, network)
    dtype = torch.bfloat16 if half and not whole else torch.float32
    mode = make_fake(module, dtype)

    def forward() -> None:
        with mode, torch.autocast("cpu", torch.bfloat16, enabled=half):
            probe.run(module, shape, dtype)

    blocks = _by_block(module, probe.blocks, forward)
    if not checkpointing:
        return sum(blocks.values())
    largest = max(count for block, count in blocks.items() if block)
    probe.checkpoint(module)
    return sum(_by_block(module, probe.blocks, forward).values()) + largest


def meta_adapter(modules: Mapping[str, nn.Module], family: Family, network: str) -> Adapter:
    """Return an adapter without weights.

    Args:
        modules: the parts that get it, without weights, by name.
        family: of the base.
        network: the adapter's settings, as `network_key` has them.
    """
    base: Any = SimpleNamespace(modules=modules, family=family)
    config = NetworkConfig(**json.loads(network))
    return build_adapter(base, config, components=tuple(modules), seed=0, name="estimate")


def _by_block(module: nn.Module, kinds: Collection[str], forward: Callable[[], None]) -> dict[str, int]:
    """Return the bytes that a forward keeps for the backward pass: by block of these kinds, "" for what is in none."""
    own = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    saved: dict[int, tuple[str, torch.UntypedStorage]] = {}  # holding a storage keeps its address from being reused
    inside = [""]

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            saved.setdefault(storage._cdata, (inside[-1], storage))
        return tensor

    hooks = []
    for name, block in module.named_modules():
        if type(block).__name__ not in kinds:
            continue
        hooks.append(block.register_forward_pre_hook(lambda *_, name=name: inside.append(name)))
        hooks.append(block.register_forward_hook(lambda *_: inside.pop() and None))
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    for hook in hooks:
        hook.remove()
    found: dict[str, int] = defaultdict(int)
    for name, storage in saved.values():
        found[name] += storage.nbytes()
    return found
