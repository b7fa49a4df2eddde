"""A narrow SDXL with random weights in all of its parts, put together as the trainer knows it."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.sdxl.model import SDXL

from ..adapters.tiny_sdxl import SDXL_BLOCKS


def small_sdxl(toy: SDXL, seed: int = 0) -> SDXL:
    """Return a base of 64x64 pixels whose every kind of layer SDXL has; tokenizers and scheduler are the toy's.

    Its two text encoders differ in width (8 and 16) and the VAE has attention, as in SDXL and unlike in the toy. The
    weights are numbers that 16 bit can hold, so that files in 16 bit lose nothing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            **SDXL_BLOCKS,
            sample_size=16,
            block_out_channels=(8, 8, 16),
            norm_num_groups=4,
            transformer_layers_per_block=[1, 1, 2],
            attention_head_dim=[2, 2, 2],
            cross_attention_dim=24,
            addition_time_embed_dim=2,
            projection_class_embeddings_input_dim=12 + 6 * 2,
        )
        first = CLIPTextModel(_clip(8, 2, toy, 0))
        second = CLIPTextModelWithProjection(_clip(16, 3, toy, 1))
        vae = AutoencoderKL(
            block_out_channels=(4, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=2,
            norm_num_groups=4,
            sample_size=64,
            scaling_factor=0.13025,
        )
        for part in (unet, first, second, vae):
            for parameter in part.parameters():  # none of them zero or one: what is left out or swapped is seen
                parameter.data.add_(torch.randn_like(parameter) * 0.02).copy_(parameter.half())
    return SDXL(
        family=FAMILY,
        path="small",
        sha256="",
        digests={},
        vae=vae,
        unet=unet,
        text_encoders=(first, second),
        tokenizers=toy.tokenizers,
        scheduler=toy.scheduler,
        prediction_type="epsilon",
    )


def same_weights(one: SDXL, other: SDXL, parts: tuple[str, ...] = ()) -> bool:
    """Return whether two bases have bit-equal weights by the same names."""
    for part in parts or one.modules:
        left, right = one.modules[part].state_dict(), other.modules[part].state_dict()
        if left.keys() != right.keys() or not all(torch.equal(left[name], right[name]) for name in left):
            return False
    return True


def _clip(width: int, layers: int, toy: SDXL, encoder: int) -> CLIPTextConfig:
    theirs = toy.text_encoders[encoder].config
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        projection_dim=12,
        **{name: getattr(theirs, name) for name in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")},
    )
