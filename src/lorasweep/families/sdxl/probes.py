"""The parts of an SDXL without weights, for forecasts of memory and disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lorasweep.families.checkpointing import set_checkpointing
from lorasweep.families.probe import Probe, Shape
from lorasweep.families.sdxl.layout import PARTS
from lorasweep.families.sdxl.single_file import part_class
from lorasweep.families.sdxl.tokens import CHUNK

SIZE_NUMBERS = 6  # of an image: its size, its crop, its target


@dataclass(frozen=True)
class UNetProbe:
    """The UNet.

    Args:
        settings: its config as JSON.
        pixels_per_latent: side in pixels of a latent pixel.
    """

    settings: str
    pixels_per_latent: int
    part = "unet"
    blocks = ("ResnetBlock2D", "BasicTransformerBlock")

    def build(self) -> nn.Module:
        """Return a UNet without weights."""
        with torch.device("meta"):
            unet: nn.Module = part_class(self.part).from_config(json.loads(self.settings))
        return unet

    def run(self, module: nn.Module, shape: Shape, dtype: torch.dtype) -> None:
        """Run the forward of a step."""
        config: Any = module.config
        side, tokens = shape.side // self.pixels_per_latent, shape.tokens // CHUNK * CHUNK + 2
        pooled = config.projection_class_embeddings_input_dim - SIZE_NUMBERS * config.addition_time_embed_dim
        module(
            torch.empty(shape.batch, config.in_channels, side, side, dtype=dtype),
            torch.empty(shape.batch),
            encoder_hidden_states=torch.empty(shape.batch, tokens, config.cross_attention_dim, dtype=dtype),
            added_cond_kwargs={
                "text_embeds": torch.empty(shape.batch, pooled),
                "time_ids": torch.empty(shape.batch, SIZE_NUMBERS),
            },
        )

    def checkpoint(self, module: nn.Module) -> None:
        """Turn checkpointing on: it acts in evaluation too, where no dropout asks fake tensors for a number."""
        set_checkpointing(module, on=True)


@dataclass(frozen=True)
class EncoderProbe:
    """A text encoder.

    Args:
        part: "text_encoder" or "text_encoder_2".
        settings: its config as JSON.
    """

    part: str
    settings: str
    blocks = ("CLIPEncoderLayer",)

    def build(self) -> nn.Module:
        """Return a text encoder without weights."""
        kind = part_class(self.part)
        with torch.device("meta"):
            encoder: nn.Module = kind(kind.config_class.from_dict(json.loads(self.settings)))
        return encoder

    def run(self, module: nn.Module, shape: Shape, dtype: torch.dtype) -> None:
        """Encode the captions of a step."""
        chunks = shape.batch * (shape.tokens // CHUNK)
        module(torch.zeros(chunks, CHUNK + 2, dtype=torch.long), output_hidden_states=True)

    def checkpoint(self, module: nn.Module) -> None:
        """Turn checkpointing on: layers of transformers checkpoint in training only.

        They alone are told that they train: adapters that do draw numbers, of which fake tensors have none.
        """
        set_checkpointing(module, on=True)
        for layer in module.modules():
            if type(layer).__name__ in self.blocks:
                layer.training = True


@dataclass(frozen=True)
class VAEProbe:
    """The VAE.

    Args:
        settings: its config as JSON.
    """

    settings: str
    part = "vae"
    blocks = ()

    def build(self) -> nn.Module:
        """Return a VAE without weights."""
        with torch.device("meta"):
            vae: nn.Module = part_class(self.part).from_config(json.loads(self.settings))
        return vae

    def run(self, module: nn.Module, shape: Shape, dtype: torch.dtype) -> None:
        """Decode images, which takes more than to encode them."""
        vae: Any = module
        side = shape.side // 2 ** (len(vae.config.block_out_channels) - 1)
        vae.decode(torch.empty(shape.batch, vae.config.latent_channels, side, side, dtype=dtype))

    def checkpoint(self, module: nn.Module) -> None:
        """Do nothing: it is never trained."""


def probes(settings: Mapping[str, str], pixels_per_latent: int) -> dict[str, Probe]:
    """Return a probe for each part.

    Args:
        settings: each part's config as JSON, by its name.
        pixels_per_latent: side in pixels of a latent pixel.
    """
    found: dict[str, Probe] = {
        "unet": UNetProbe(settings["unet"], pixels_per_latent),
        "vae": VAEProbe(settings["vae"]),
    }
    encoders = ("text_encoder", "text_encoder_2")
    return found | {part: EncoderProbe(part, settings[part]) for part in encoders}


def probes_of(modules: Mapping[str, nn.Module], pixels_per_latent: int) -> dict[str, Probe]:
    """Return a probe for each part of a loaded base.

    Args:
        modules: its parts by name.
        pixels_per_latent: side in pixels of a latent pixel.
    """
    configs: dict[str, Any] = {part: module.config for part, module in modules.items()}
    settings = {
        part: config.to_json_string() if hasattr(config, "to_json_string") else _json(dict(config))
        for part, config in configs.items()
    }
    return probes(settings, pixels_per_latent)


def probes_in(folder: Path, pixels_per_latent: int) -> dict[str, Probe] | None:
    """Return a probe for each part of a base whose configs are in a folder; None if they are not there.

    Args:
        folder: in diffusers' layout.
        pixels_per_latent: side in pixels of a latent pixel.
    """
    try:
        return probes({part: (folder / part / "config.json").read_text() for part in PARTS}, pixels_per_latent)
    except OSError:
        return None


def _json(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, default=str, sort_keys=True)
