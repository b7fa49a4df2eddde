"""How an SDXL lies on disk: its parts, how the tensors of each begin in a single file, and what its configs tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lorasweep.families.paths import is_hub_id, is_single_file
from lorasweep.families.shipped import BASE_PATH
from lorasweep.families.weights_files import setting, shapes_in
from lorasweep.schema import BaseModelConfig

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
"""Folders of a base in diffusers' layout that hold weights."""

TOKENIZERS = ("tokenizer", "tokenizer_2")
"""Folders of a base in diffusers' layout that hold tokenizers."""

FILE_PARTS = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "conditioner.embedders.0.transformer.",
    "text_encoder_2": "conditioner.embedders.1.model.",
}
"""How the tensors of each part begin in a single file of Stability's layout ("SGM"), the one that SDXL came in."""

V_PREDICTION = "v_pred"
"""An empty tensor of this name tells ComfyUI that a single file's UNet predicts velocities."""

ZERO_TERMINAL_SNR = "ztsnr"
"""An empty tensor of this name tells ComfyUI that its noise schedule ends in pure noise."""

SDXL_ID = "stabilityai/stable-diffusion-xl-base-1.0"
"""Whose configs and tokenizers single files take unless base_model.config_path names others."""

NOUN = "an SDXL"
"""What a file of this family is called, with its article."""

LATENT_FACTOR = 8
"""Pixels per latent pixel of SDXL itself."""

SAMPLE_SIZE = 128
"""Side in latent pixels that SDXL itself was made for."""


def kind(shapes: Mapping[str, Sequence[int]]) -> str | None:
    """Return NOUN for the tensors of an SDXL, words for those of its relatives, None for anything else.

    Args:
        shapes: shape by tensor name.
    """

    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in shapes)

    unet = FILE_PARTS["unet"]
    if not has(unet) or has(f"{unet}double_blocks.", f"{unet}joint_blocks.", "cond_stage_model."):
        return None
    if has("conditioner.embedders.0.model.") and not has("conditioner.embedders.1."):
        return "the SDXL refiner"
    channels = shapes.get(f"{unet}input_blocks.0.0.weight", (0, 4))[1]
    if channels != 4:
        return f"an SDXL for inpainting or editing (its UNet takes {channels} channels)"
    if has(FILE_PARTS["text_encoder"]) and has(FILE_PARTS["text_encoder_2"]):
        return NOUN
    return "a UNet without the two text encoders of SDXL"


def config_source(base: BaseModelConfig) -> str:
    """Return the folder or hub id that a base's configs and tokenizers come from."""
    if base.path is None:
        return str(BASE_PATH)
    return (base.config_path or SDXL_ID) if is_single_file(base.path) else base.path


def pixels_per_latent(base: BaseModelConfig) -> int | None:
    """Return the pixels per latent pixel of a base, as the config of its VAE (or of the one replacing it) tells.

    None if its folder does not tell. Models of the hub are taken for SDXL itself.
    """
    if base.vae_path is not None and is_hub_id(base.vae_path):
        return LATENT_FACTOR
    source = config_source(base)
    folder = Path(source) / "vae"
    if base.vae_path is not None and Path(base.vae_path).is_dir():
        folder = vae_folder(Path(base.vae_path))
    blocks = setting(folder, "block_out_channels")
    if isinstance(blocks, list):
        return int(2 ** (len(blocks) - 1))
    return LATENT_FACTOR if is_hub_id(source) else None


def native_resolution(base: BaseModelConfig) -> int | None:
    """Return the side length in pixels that a base was made for; None if its folder does not tell."""
    source = config_source(base)
    size = SAMPLE_SIZE if is_hub_id(source) else setting(Path(source) / "unet", "sample_size")
    factor = pixels_per_latent(base)
    return size * factor if isinstance(size, int) and factor is not None else None


def vae_folder(folder: Path) -> Path:
    """Return where the VAE of a folder is: the folder itself, or its vae/ if it is a whole base."""
    return folder / "vae" if (folder / "vae").is_dir() else folder


def marks_of(path: str) -> set[str]:
    """Return which of V_PREDICTION and ZERO_TERMINAL_SNR a single file is marked with."""
    return {V_PREDICTION, ZERO_TERMINAL_SNR} & shapes_in(Path(path)).keys() if Path(path).is_file() else set()
