"""The base model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorasweep.registry import Registry
from lorasweep.schema.option import option

# What each name stands for is a `families.base.Family`. Packages of a user's own add names by entry points.
FAMILIES: Registry[Any] = Registry(
    "model family", "lorasweep.families", {"sdxl": "lorasweep.families.sdxl.family:FAMILY"}
)


@dataclass
class BaseModelConfig:
    """The frozen model that a version adapts."""

    family: str = option(
        "sdxl", "model family; the toy base has SDXL's parts and takes the same code", choices=FAMILIES
    )
    path: str | None = option(
        None,
        "diffusers folder, hub id or single .safetensors file; null is the toy base that ships in the package",
        resume="moved",
        kohya="pretrained_model_name_or_path",
        aliases=("model", "model_path", "checkpoint"),
        path=True,
    )
    vae_path: str | None = option(
        None,
        "VAE that replaces the base's own: diffusers folder, hub id or single .safetensors file",
        resume="moved",
        kohya="vae",
        path=True,
    )
    config_path: str | None = option(
        None,
        "folder or hub id whose configs and tokenizers a single-file base takes; null is the family's own hub id",
        path=True,
    )
    resolution: int = option(1024, "native side length in pixels; recipes scale to it", at_least=8)
    prediction_type: str = option(
        "epsilon",
        "what the base predicts, where its family knows several",
        choices=("epsilon", "v_prediction"),
        meant={"eps": "epsilon", "v": "v_prediction", "v_pred": "v_prediction", "velocity": "v_prediction"},
        measures=("val/",),
    )
    zero_terminal_snr: bool = option(
        False,
        "noise schedule that ends in pure noise, for bases trained so (v_prediction only)",
        aliases=("ztsnr", "rescale_betas_zero_snr"),
        measures=("val/",),
        ss="ss_zero_terminal_snr",
    )
    variant: str | None = option(
        None, "weights variant of a diffusers folder or hub id, such as fp16", needs="base_model.path"
    )
    quantization: str | None = option(
        None,
        "the frozen denoiser's attention blocks in 8 bit or in 4 (nf4), for less memory; null: as the rest of it",
        choices=(None, "int8", "nf4"),
        meant={"fp8": "int8", "8bit": "int8", "4bit": "nf4", "int4": "nf4", "fp4": "nf4"},
    )
    lora_lr: float = option(
        1e-4,
        "learning rate of a LoRA that suits this base; optimizer.lr follows it unless a recipe has its own",
        above=0,
    )
    guidance: float = option(
        5.0,
        "guidance that suits this base; sampling.guidance follows it",
        at_least=1,
        needs="sampling.every_epochs",
        brought=True,
    )
    sample_steps: int = option(
        30,
        "sampler steps that suit this base; sampling.steps follows them",
        at_least=1,
        needs="sampling.every_epochs",
        brought=True,
    )
