"""How much autograd keeps of a batch for the backward pass: found by running the model, not guessed.

Each trained part is run once with its adapter on tensors without content (torch's fake tensors), and the bytes that are
saved for the backward pass are added up. It is run with the whole batch: copies of weights in 16 bit, a large part of
all in a full fine-tune, are there once for all of its images.

The models are given by their settings as JSON, as that can be remembered.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from lorasweep.adapters.adapter import Adapter, build_adapter
from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.sdxl.tokens import CHUNK
from lorasweep.schema import NetworkConfig

SIZE_NUMBERS = 6  # of an image: its size, its crop, its target
BLOCKS = ("ResnetBlock2D", "BasicTransformerBlock", "CLIPEncoderLayer")
"""What gradient checkpointing computes again one by one; the largest one's activations are there at any time."""


def key(values: Mapping[str, Any]) -> str:
    """Return settings as JSON, the same for the same settings."""
    return json.dumps(values, default=str, sort_keys=True)


@lru_cache(maxsize=16)
def kept_by_unet(
    settings: str, network: str, side: int, chunks: int, checkpointing: bool, batch: int, half: bool
) -> int:
    """Return the bytes that the UNet keeps of a batch.

    Args:
        settings: the UNet's.
        network: a NetworkConfig's.
        side: of the latents, which are square.
        chunks: how many chunks the captions have.
        checkpointing: `training.gradient_checkpointing`.
        batch: how many images.
        half: whether it computes in 16 bit, and not in 32.
    """
    unet = hollow_unet(settings)
    dtype = _prepare("unet", unet, network, half)
    config = unet.config
    pooled = config.projection_class_embeddings_input_dim - SIZE_NUMBERS * config.addition_time_embed_dim

    def forward() -> None:
        unet(
            torch.empty(batch, config.in_channels, side, side, dtype=dtype),
            torch.empty(batch),
            encoder_hidden_states=torch.empty(batch, CHUNK * chunks + 2, config.cross_attention_dim, dtype=dtype),
            added_cond_kwargs={"text_embeds": torch.empty(batch, pooled), "time_ids": torch.empty(batch, SIZE_NUMBERS)},
        )

    # Checkpointing acts in evaluation too, where no dropout asks fake tensors for a number.
    return _kept(unet, forward, unet.enable_gradient_checkpointing if checkpointing else None, half)


@lru_cache(maxsize=16)
def kept_by_encoder(
    part: str, kind: type, settings: str, network: str, chunks: int, checkpointing: bool, batch: int, half: bool
) -> int:
    """Return the bytes that a text encoder keeps of a batch of captions.

    Args:
        part: "text_encoder" or "text_encoder_2".
        kind: its class.
        settings: its settings.
        network, chunks, checkpointing, batch, half: as `kept_by_unet` has them.
    """
    encoder = hollow_encoder(kind, settings)
    _prepare(part, encoder, network, half)

    def forward() -> None:
        encoder(torch.zeros(batch * chunks, CHUNK + 2, dtype=torch.long), output_hidden_states=True)

    def checkpoint() -> None:
        encoder.activation_checkpointing_enable({"use_reentrant": False})
        encoder.train()  # transformers checkpoints in training only

    return _kept(encoder, forward, checkpoint if checkpointing else None, half)


def hollow_unet(settings: str) -> UNet2DConditionModel:
    """Return a UNet without weights."""
    with torch.device("meta"):
        unet: UNet2DConditionModel = UNet2DConditionModel.from_config(json.loads(settings))
    return unet


def hollow_encoder(kind: Any, settings: str) -> Any:
    """Return a text encoder without weights."""
    with torch.device("meta"):
        return kind(kind.config_class.from_dict(json.loads(settings)))


def hollow_adapter(modules: dict[str, nn.Module], network: str, components: Sequence[str]) -> Adapter:
    """Return an adapter without weights on hollow modules."""
    holder: Any = SimpleNamespace(modules=modules, family=FAMILY)
    config = NetworkConfig(**json.loads(network))
    return build_adapter(holder, config, components=components, seed=0, name="estimate")


def _prepare(part: str, module: nn.Module, network: str, half: bool) -> torch.dtype:
    """Make a hollow module one whose forward can be run, trained as `network` says; return its precision."""
    whole = json.loads(network)["type"] == "full"
    dtype = torch.bfloat16 if half and not whole else torch.float32
    module.requires_grad_(False).eval()
    if whole:
        module.requires_grad_(True)
    else:
        hollow_adapter({part: module}, network, (part,))
    _make_fake(module, dtype)
    return dtype


def _make_fake(module: nn.Module, dtype: torch.dtype) -> None:
    """Turn weights on the meta device into fake ones, which compute as a CPU's do, autocast included.

    What is trained is in 32 bit, as on a GPU, and what is frozen in `dtype`.
    """
    with FakeTensorMode():
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    trained = parameter.requires_grad
                    empty = torch.empty(parameter.shape, dtype=torch.float32 if trained else dtype)
                    part._parameters[name] = nn.Parameter(empty, requires_grad=trained)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _kept(module: nn.Module, forward: Callable[[], None], checkpoint: Callable[[], None] | None, half: bool) -> int:
    """Return the bytes kept by a forward; with `checkpoint`, which turns it on, at the peak of the backward pass."""
    blocks = _by_block(module, forward, half)
    if checkpoint is None:
        return sum(blocks.values())
    largest = max(count for block, count in blocks.items() if block)
    checkpoint()
    return sum(_by_block(module, forward, half).values()) + largest


def _by_block(module: nn.Module, forward: Callable[[], None], half: bool) -> dict[str, int]:
    """Return the bytes that a forward keeps for the backward pass: by block, "" for what is in none."""
    own = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    kept: dict[int, tuple[str, torch.UntypedStorage]] = {}  # holding a storage keeps its address from being reused
    inside = [""]

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept.setdefault(storage._cdata, (inside[-1], storage))
        return tensor

    hooks = []
    for name, part in module.named_modules():
        if type(part).__name__ in BLOCKS:
            hooks.append(part.register_forward_pre_hook(lambda *_, name=name: inside.append(name)))
            hooks.append(part.register_forward_hook(lambda *_: inside.pop() and None))
    mode = next(iter(module.parameters())).fake_mode  # type: ignore[attr-defined]
    hooked = saved_tensors_hooks(keep, lambda tensor: tensor)
    with mode, hooked, torch.autocast("cpu", torch.bfloat16, enabled=half):
        forward()
    for hook in hooks:
        hook.remove()
    found: dict[str, int] = defaultdict(int)
    for block, storage in kept.values():
        found[block] += storage.nbytes()
    return found
