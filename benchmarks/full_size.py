"""SDXL by its published configs, and a narrow one of the same kinds of layers."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.sdxl.model import SDXL

BLOCKS: dict[str, Any] = {
    "layers_per_block": 2,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
}
FULL: dict[str, Any] = {
    **BLOCKS,
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SMALL: dict[str, Any] = {
    **BLOCKS,
    "block_out_channels": (32, 64, 128),
    "transformer_layers_per_block": [1, 1, 2],
    "attention_head_dim": [2, 2, 4],
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 64 + 6 * 32,
}


def without_weights() -> SDXL:
    """Return full-size SDXL on the meta device, in the precisions that it is loaded in on a GPU."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**FULL).bfloat16()
        text_encoders = (
            CLIPTextModel(_clip(768, 12, 12)).bfloat16(),
            CLIPTextModelWithProjection(_clip(1280, 32, 20)).bfloat16(),
        )
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
    return SDXL(
        family=FAMILY,
        path="full size",
        sha256="",
        digests={},
        vae=vae,
        unet=unet,
        text_encoders=text_encoders,
        tokenizers=(None, None),
        scheduler=EulerDiscreteScheduler(),
        prediction_type="epsilon",
    )


def _clip(width: int, layers: int, heads: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
    )
