"""From a config to a loaded base. A family's file is named here; its class does the rest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lorasweep import files
from lorasweep.config import BaseModelConfig
from lorasweep.errors import UserError
from lorasweep.toy import BASE_PATH

if TYPE_CHECKING:
    from lorasweep.bases.sdxl import SDXL

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def load_base(config: BaseModelConfig, device: str, dtype: torch.dtype) -> SDXL:
    """Load a base in diffusers layout from a folder, the hub, or (path null) the package's toy base.

    Args:
        config: which one. device, dtype: where to and in which precision (the VAE stays in 32 bit).

    Raises:
        UserError: nothing there, parts missing, pickled or corrupt weights, no network.
    """
    name = config.path or str(BASE_PATH)
    folder = _folder(name, config.variant)
    _check(folder, name)
    digests = {part: _digest(folder / part) for part in PARTS}
    tokenizers = _digest(folder / "tokenizer") + _digest(folder / "tokenizer_2")
    text = hashlib.sha256((digests["text_encoder"] + digests["text_encoder_2"] + tokenizers).encode()).hexdigest()
    try:
        base = _load_sdxl(config, name, folder, {"vae": digests["vae"], "text": text}, _join(digests))
    except Exception as error:  # any loader's complaint about a part becomes one line that names the folder
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"base_model.path={name} cannot be loaded ({type(error).__name__}: {first_line}): "
            "expected a whole SDXL in diffusers layout with .safetensors weights"
        ) from error
    return base.to(device, dtype)


def _load_sdxl(config: BaseModelConfig, name: str, folder: Path, digests: dict[str, str], sha256: str) -> SDXL:
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    from lorasweep.bases.sdxl import SDXL

    # Half-precision files are read into 32 bit; `to` narrows them again where the device calls for it.
    options = {"dtype": torch.float32, "use_safetensors": True, "variant": config.variant}
    return SDXL(
        path=name,
        sha256=sha256,
        digests=digests,
        vae=AutoencoderKL.from_pretrained(folder, subfolder="vae", **options),
        unet=UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **options),
        text_encoders=(
            CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", **options),
            CLIPTextModelWithProjection.from_pretrained(folder, subfolder="text_encoder_2", **options),
        ),
        tokenizers=(
            CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer"),
            CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer_2"),
        ),
        scheduler=EulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler"),
        prediction_type=config.prediction_type,
    )


def _folder(name: str, variant: str | None) -> Path:
    """Return the local folder of a base: itself, or the hub's snapshot."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    suffix = f".{variant}.safetensors" if variant else ".safetensors"
    weights = [f"{part}/*{suffix}" for part in PARTS]
    rest = ["model_index.json", "*/config.json", "tokenizer*/*", "scheduler/*", "*/*.index.json"]
    try:
        return Path(snapshot_download(name, allow_patterns=[*weights, *rest]))
    except Exception as error:
        raise UserError(
            f"base_model.path={name} is no local folder, and the model hub did not give it "
            f"({type(error).__name__}): check the name and the network, log in with `hf auth login` if the model is "
            "gated, or give the path of a diffusers folder"
        ) from error


def _check(folder: Path, name: str) -> None:
    """Refuse a folder without the four parts, each with safetensors weights."""
    problems = []
    for part in PARTS:
        if not (folder / part / "config.json").exists():
            problems.append(f"base_model.path={name} has no {part}/config.json: expected an SDXL in diffusers layout")
        elif not list((folder / part).glob("*.safetensors")):
            pickled = next((folder / part).glob("*.bin"), None)
            held = f"only the pickled {pickled.name}" if pickled else "no weights"
            problems.append(
                f"base_model.path={name}: {part}/ holds {held}; only .safetensors is read. Convert it with: "
                f"python -c \"from diffusers import DiffusionPipeline as P; P.from_pretrained('{name}')"
                f".save_pretrained('{name}-safetensors')\""
            )
    if problems:
        raise UserError(problems, title="The base model cannot be loaded")


def _digest(folder: Path) -> str:
    """Return a digest of every file of a part (weights, config, vocabulary), names included."""
    parts = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return _join({path.name: files.sha256_of(Path(os.path.realpath(path))) for path in parts})


def _join(digests: dict[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in digests.items()).encode()).hexdigest()
