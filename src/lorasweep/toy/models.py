"""The parts of the toy base: SDXL's topology, only narrower, so that SDXL's code and key names fit unchanged."""

from __future__ import annotations

import json
from pathlib import Path

from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TEXT_WIDTH = 64
"""Width of each text encoder; the UNet is given both side by side."""

TIME_WIDTH = 16
"""Width of the embedding of each of SDXL's six size and crop numbers."""


def new_unet() -> UNet2DConditionModel:
    """Return an untrained UNet with SDXL's blocks: no attention at full size, one transformer layer below."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(40, 64, 80),
        layers_per_block=2,
        transformer_layers_per_block=1,
        attention_head_dim=(2, 4, 5),
        norm_num_groups=8,
        cross_attention_dim=2 * TEXT_WIDTH,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=6 * TIME_WIDTH + TEXT_WIDTH,
    )


def new_text_encoders(vocabulary: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """Return two untrained text encoders for a vocabulary whose last token is the end token."""

    def config(activation: str, pad: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            hidden_act=activation,
            projection_dim=TEXT_WIDTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=pad,
        )

    return (
        CLIPTextModel(config("quick_gelu", vocabulary - 1)),
        CLIPTextModelWithProjection(config("gelu", 0)),
    )


def new_scheduler() -> EulerDiscreteScheduler:
    """Return SDXL's scheduler."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        timestep_spacing="leading",
        steps_offset=1,
        interpolation_type="linear",
    )


class ToyDenoiser(nn.Module):
    """UNet and text encoders, with random weights."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.unet = new_unet()
        self.text_encoder, self.text_encoder_2 = new_text_encoders(vocabulary)


def write_half(model: nn.Module, fresh: nn.Module, folder: Path) -> None:
    """Write `model`'s weights in half precision to `folder` by way of `fresh`, an unused model of the same kind."""
    fresh.load_state_dict(model.state_dict())
    fresh.half().save_pretrained(folder)  # type: ignore[operator]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "dtype" in config:
        # Half precision is for storage. Left as it is, transformers would compute in it, but diffusers would not.
        config["dtype"] = "float32"
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_denoiser(model: ToyDenoiser, vocabulary: int, base: Path) -> None:
    """Write UNet, text encoders, scheduler and `model_index.json` to the folder `base`."""
    write_half(model.unet, new_unet(), base / "unet")
    first, second = new_text_encoders(vocabulary)
    write_half(model.text_encoder, first, base / "text_encoder")
    write_half(model.text_encoder_2, second, base / "text_encoder_2")
    new_scheduler().save_pretrained(base / "scheduler")
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.42.1",
        "force_zeros_for_empty_prompt": True,
        "add_watermarker": None,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (base / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
