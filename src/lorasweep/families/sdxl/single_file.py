"""An SDXL in Stability's original layout ("SGM"): diffusers converts the tensors of each part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lorasweep.families.sdxl.layout import FILE_PARTS

prefixes = FILE_PARTS
denoiser = "unet"


def part_class(part: str) -> Any:
    """Return the class of an SDXL's part."""
    import diffusers
    import transformers

    return {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": transformers.CLIPTextModel,
        "text_encoder_2": transformers.CLIPTextModelWithProjection,
    }[part]


def empty(part: str, configs: Path) -> nn.Module:
    """Return a part without weights, as its config in the folder `configs` says."""
    from accelerate import init_empty_weights

    cls = part_class(part)
    module: nn.Module
    with init_empty_weights():
        if part in ("unet", "vae"):
            module = cls.from_config(cls.load_config(configs, subfolder=part))
        else:
            module = cls(cls.config_class.from_pretrained(configs, subfolder=part))
    return module


def converted(part: str, module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a part's tensors by the names that diffusers and transformers have for them."""
    from diffusers.loaders import single_file_utils as utils

    state: dict[str, Tensor]
    if part == "unet":
        state = utils.convert_ldm_unet_checkpoint(tensors, module.config)
    elif part == "vae":
        state = utils.convert_ldm_vae_checkpoint(tensors, module.config)
    elif part == "text_encoder":
        state = utils.convert_ldm_clip_checkpoint(tensors)
    else:
        state = utils.convert_open_clip_checkpoint(module, tensors, prefix=FILE_PARTS[part])
    if not hasattr(module, "text_model"):  # transformers 5 has the layers of CLIPTextModel at its top
        state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    return state
