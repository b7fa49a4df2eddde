"""A whole SDXL as one file for image generators, or as a diffusers folder.

The file has the layout that SDXL came in ("SGM"), which ComfyUI, A1111, sd-scripts and diffusers all read. Three
things of the original file are left out, because each of these loaders makes them itself: the samplers' schedule
(`denoiser.sigmas`), the first encoder's `position_ids`, and the second's `logit_scale`, which only compares texts with
images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lorasweep import files
from lorasweep.families.finite import require_finite
from lorasweep.families.sdxl.layout import FILE_PARTS, TOKENIZERS, V_PREDICTION, ZERO_TERMINAL_SNR
from lorasweep.families.sdxl.names import UNetLayout
from lorasweep.families.sdxl.sgm import open_clip_name, unet_name, vae_name

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
}


def sgm_tensors(
    unet: nn.Module,
    vae: nn.Module,
    text_encoders: tuple[nn.Module, nn.Module],
    *,
    prediction_type: str = "epsilon",
    zero_terminal_snr: bool = False,
) -> dict[str, Tensor]:
    """Return all tensors of an SDXL by their names in a single file of Stability's layout.

    Args:
        unet: in any precision and on any device, without adapters.
        vae: in any precision and on any device.
        text_encoders: both of them, in any precision and on any device.
        prediction_type: of the UNet; ComfyUI reads it from an empty tensor that marks velocities.
        zero_terminal_snr: whether the schedule ends in pure noise; an empty tensor marks that too.

    Returns:
        fp16 tensors on the CPU, contiguous. What is there already, in fp16, is not copied.

    Raises:
        ValueError: a part has parameters that SDXL's has not, such as an adapter's.
    """
    layout, resolutions = UNetLayout.of(unet.config), len(vae.config.block_out_channels)
    named: dict[str, Tensor] = {}
    for name, tensor in unet.state_dict().items():
        named[FILE_PARTS["unet"] + unet_name(name, layout)] = tensor
    for name, tensor in vae.state_dict().items():
        attention = ".attentions." in name and tensor.dim() == 2  # a 1x1 convolution there, a matrix here
        named[FILE_PARTS["vae"] + vae_name(name, resolutions)] = tensor[..., None, None] if attention else tensor
    for name, tensor in _text_model(text_encoders[0]).items():
        named[f"{FILE_PARTS['text_encoder']}text_model.{name}"] = tensor
    for name, tensor in _open_clip(text_encoders[1]).items():
        named[FILE_PARTS["text_encoder_2"] + name] = tensor
    if unknown := [name for name in named if ".lora_" in name or ".base_layer." in name]:
        raise ValueError(f"{unknown[0]} belongs to an adapter: take it off before the base is written")
    tensors = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in named.items()}
    marks = {V_PREDICTION: prediction_type == "v_prediction", ZERO_TERMINAL_SNR: zero_terminal_snr}
    return tensors | {name: torch.zeros(0) for name, marked in marks.items() if marked}


def write_diffusers(
    folder: Path,
    modules: Mapping[str, nn.Module],
    tokenizers: Sequence[Any],
    pipeline: Any,
) -> None:
    """Write a whole base in diffusers' layout: weights, configs, tokenizers, scheduler; atomically.

    Args:
        folder: appears whole or not at all; one that is there is replaced.
        modules: the parts by name, in any precision, without adapters; they stay as they are.
        tokenizers: one for each text encoder.
        pipeline: diffusers', of all of them.

    Raises:
        UserError: a value is NaN or infinite (also one that fp16 cannot hold); nothing is written.
        OSError: the disk is full or the like.
    """
    with files.writing_folder(folder) as unfinished:
        for part, module in modules.items():
            state = module.state_dict()
            if part.startswith("text_encoder"):  # older transformers know these names only, the newer ones both
                state = {
                    name if name.startswith("text_projection.") else f"text_model.{name.removeprefix('text_model.')}": t
                    for name, t in state.items()
                }
            tensors = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
            require_finite(tensors, folder)
            files.write_safetensors(unfinished / part / WEIGHTS[part], tensors, {"format": "pt"})
            _write_config(unfinished / part / "config.json", module)
        for name, tokenizer in zip(TOKENIZERS, tokenizers, strict=True):
            _write_tokenizer(unfinished / name, tokenizer)
        _write_config(unfinished / "scheduler" / "scheduler_config.json", pipeline.scheduler)
        pipeline.save_config(unfinished)  # model_index.json


def _text_model(encoder: nn.Module) -> dict[str, Tensor]:
    """Return an encoder's state without `text_model.`, which some releases of transformers put in front."""
    return {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}


def _open_clip(encoder: nn.Module) -> dict[str, Tensor]:
    state = _text_model(encoder)
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
            layer, _, leaf = open_clip_name(name).partition(".q_proj.")
            tensors[f"{layer}.in_proj_{leaf}"] = torch.cat(parts)
        elif name == "text_projection.weight":
            tensors["text_projection"] = tensor.T
        elif ".k_proj." not in name and ".v_proj." not in name:
            tensors[open_clip_name(name)] = tensor
    return tensors


def _write_config(path: Path, part: Any) -> None:
    """Write the config of a module or scheduler, without the place where it was loaded from."""
    config = part.config
    settings = json.loads(config.to_json_string() if hasattr(config, "to_json_string") else part.to_json_string())
    settings.pop("_name_or_path", None)
    if "dtype" in settings:
        settings["dtype"] = "float16"
    files.write_json(path, settings)


def _write_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write a tokenizer, with the vocabulary as the separate files that older releases of transformers read."""
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    files.write_json(folder / "vocab.json", model["vocab"])
    merges = "".join(f"{' '.join(pair)}\n" for pair in model["merges"])
    files.write_atomic(folder / "merges.txt", f"#version: 0.2\n{merges}")
