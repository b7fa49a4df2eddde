"""SDXL's parts: narrow ones with random weights, and full-size ones without any (on the meta device)."""

from types import SimpleNamespace
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.sdxl.naming import SDXLNaming

SDXL_BLOCKS: dict[str, Any] = {
    "layers_per_block": 2,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
}


def full_size_base() -> SimpleNamespace:
    """SDXL 1.0 by its published configs, on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            **SDXL_BLOCKS,
            block_out_channels=(320, 640, 1280),
            transformer_layers_per_block=[1, 2, 10],
            attention_head_dim=[5, 10, 20],
            cross_attention_dim=2048,
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        first = CLIPTextModel(_clip(768, 12, 12, vocab=49408))
        second = CLIPTextModelWithProjection(_clip(1280, 32, 20, vocab=49408))
    modules = {"unet": unet, "text_encoder": first, "text_encoder_2": second}
    return SimpleNamespace(modules=modules, family=FAMILY, naming=SDXLNaming.of(unet.config))


def tiny_base() -> SimpleNamespace:
    """The same blocks, a few channels wide and with fewer transformer layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            **SDXL_BLOCKS,
            block_out_channels=(8, 8, 16),
            norm_num_groups=4,
            transformer_layers_per_block=[1, 1, 2],
            attention_head_dim=[2, 2, 2],
            cross_attention_dim=16,
            addition_time_embed_dim=2,
            projection_class_embeddings_input_dim=8 + 6 * 2,
        )
        first = CLIPTextModel(_clip(8, 2, 2))
        second = CLIPTextModelWithProjection(_clip(8, 3, 2))
    modules = {"unet": unet, "text_encoder": first, "text_encoder_2": second}
    frozen = {name: part.eval().requires_grad_(False) for name, part in modules.items()}
    return SimpleNamespace(modules=frozen, family=FAMILY, naming=SDXLNaming.of(unet.config))


def unet_output(unet: torch.nn.Module) -> torch.Tensor:
    """The UNet's prediction for fixed inputs of two rows."""
    draws = torch.Generator().manual_seed(1)
    return unet(
        torch.randn(2, 4, 8, 8, generator=draws),
        torch.tensor([10, 900]),
        encoder_hidden_states=torch.randn(2, 5, 16, generator=draws),
        added_cond_kwargs={
            "text_embeds": torch.randn(2, 8, generator=draws),
            "time_ids": torch.randn(2, 6, generator=draws),
        },
    ).sample


def text_output(encoder: torch.nn.Module) -> torch.Tensor:
    """A text encoder's last hidden states for fixed tokens."""
    return encoder(torch.tensor([[0, 5, 9, 3, 1], [0, 2, 1, 1, 1]])).last_hidden_state


def randomise(adapter: Any, seed: int = 3, scale: float = 0.3) -> None:
    """Give an adapter values as training might: none of them zero."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.named_parameters().values():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * scale)


def _clip(width: int, layers: int, heads: int, vocab: int = 10) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
        vocab_size=vocab,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
