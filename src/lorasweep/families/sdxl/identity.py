"""What files of an SDXL say of their base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorasweep.families.identity import Identity

SDXL, TOY = "sdxl_base_v1-0", "lorasweep_toy"


def identity(unet_config: Mapping[str, Any], prediction_type: str) -> Identity:
    """Return what files of a base say of its kind: that it is SDXL if its UNet has SDXL's sizes, else the toy's.

    User interfaces offer files of SDXL for SDXL, so files of the toy base, which has SDXL's parts and names of layers
    in other sizes, must not be taken for such.

    Args:
        unet_config: the UNet's config.
        prediction_type: "epsilon" or "v_prediction".
    """
    predicts = "v" if prediction_type == "v_prediction" else "epsilon"
    sizes = (list(unet_config["block_out_channels"]), unet_config["cross_attention_dim"])
    if sizes != ([320, 640, 1280], 2048):
        return Identity("toy", TOY, "lorasweep-toy", prediction_type=predicts, published=False)
    implementation = "https://github.com/Stability-AI/generative-models"
    return Identity("sdxl", SDXL, "stable-diffusion-xl-v1-base", implementation, predicts)


def choice_of(metadata: Mapping[str, str]) -> str | None:
    """Return the choice of the group base_model that a file's base is; None if it is for another family.

    A file that does not say what it is for passes for SDXL's.

    Args:
        metadata: of the file.
    """
    version = metadata.get("ss_base_model_version", SDXL)
    if version == TOY:
        return "toy"
    return "sdxl" if version.startswith("sdxl") else None
