"""A small SDXL, a config and versions of it, on the pretended GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lorasweep.checks import check
from lorasweep.data.providers import with_images
from lorasweep.families.device import open_accelerator
from lorasweep.families.quantization import quantize
from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.start.setup import read_data
from lorasweep.training.version import Version

from ..card import Card, card

Begin = Callable[..., AbstractContextManager[Version]]


@pytest.fixture
def gpu() -> Iterator[Card]:
    """The pretended GPU."""
    with card() as found:
        yield found
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the images of all tests are, and their cache."""
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture
def config(short_config: Config, drawn: Path) -> Config:
    """A run of FuzzyBear on the GPU: LoRA in bf16, text encoders trained too."""
    shared = with_images(replace(short_config, output_root=str(drawn)))
    short_config.dataset = replace(shared.dataset, cache=str(drawn / "cache"))
    short_config.training.device = "cuda"
    short_config.optimizer.name = "adamw"
    return short_config


def small(toy: SDXL, config: Config, device: str = "cuda") -> SDXL:
    """Return a shallow SDXL with random weights where and as the config would have it loaded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=16,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            transformer_layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=24,
            addition_time_embed_dim=2,
            projection_class_embeddings_input_dim=12 + 6 * 2,
        )
        encoders = CLIPTextModel(_clip(8, toy, 0)), CLIPTextModelWithProjection(_clip(16, toy, 1))
        vae = AutoencoderKL(
            block_out_channels=(4, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=64,
            scaling_factor=0.13025,
        )
    base = SDXL(
        family=FAMILY,
        path="small",
        sha256="small",
        digests={"vae": "small", "text": "small"},
        vae=vae,
        unet=unet,
        text_encoders=encoders,
        tokenizers=toy.tokenizers,
        scheduler=toy.scheduler,
        prediction_type="epsilon",
    )
    precisions = {"no": torch.float32, "auto": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}
    dtype = torch.float32 if config.network.type == "full" else precisions[config.training.mixed_precision]
    if config.base_model.quantization is not None:
        base.unet.to(dtype)
        quantize(base.unet, base.family.parts[0], config.base_model.quantization, device)
    return base.to(device, dtype)


def _clip(width: int, toy: SDXL, encoder: int) -> CLIPTextConfig:
    theirs = toy.text_encoders[encoder].config
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=12,
        **{name: getattr(theirs, name) for name in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")},
    )


def with_changes(config: Config, changes: dict[str, Any]) -> Config:
    """Return a config with keys such as `network.rank` set, that a user could run."""
    for key, value in changes.items():
        group, _, name = key.rpartition(".")
        setattr(getattr(config, group) if group else config, name, value)
    assert check(config) == [], changes
    return config


@pytest.fixture
def begin(gpu: Card, config: Config, toy_base: SDXL) -> Begin:
    """Return what begins a version with changes of the config, on a base of its own."""

    @contextmanager
    def begun(changes: dict[str, Any] | None = None, device: str = "cuda") -> Iterator[Version]:
        changed = with_changes(config, {**(changes or {}), "training.device": device})
        base = small(toy_base, changed, device)
        data, text = read_data(changed, base)
        version = Version(changed, 6, base, data, text, open_accelerator(changed.training))
        try:
            yield version
        finally:
            version.remove()

    return begun
