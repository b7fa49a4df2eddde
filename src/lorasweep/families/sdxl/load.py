"""From a config to a loaded SDXL."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from lorasweep.errors import UserError
from lorasweep.families.base import Family
from lorasweep.families.finite import refuse_non_finite
from lorasweep.families.folder import DiffusersFolder, files_digest, files_of, joined
from lorasweep.families.hub import CONFIGS, VARIANTS, snapshot
from lorasweep.families.paths import is_single_file
from lorasweep.families.sdxl import single_file
from lorasweep.families.sdxl.layout import NOUN, PARTS, SDXL_ID, TOKENIZERS, config_source, vae_folder
from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.sdxl.problems import CONFIGS_COMMAND, base_problems, config_problems, vae_problems
from lorasweep.families.shipped import BASE_PATH
from lorasweep.families.single_file import SingleFile
from lorasweep.families.wording import refusing
from lorasweep.schema import BaseModelConfig


def load(family: Family, config: BaseModelConfig, device: str, dtype: torch.dtype) -> SDXL:
    """Load a base from a folder, the hub, a single file, or (path null) the package's toy base.

    Args:
        family: SDXL.
        config: which one.
        device: where to.
        dtype: in which precision; the VAE stays in 32 bit.

    Raises:
        UserError: nothing there, parts missing, pickled or corrupt weights, weights that are no numbers, a VAE of
            another family, no network.
    """
    given = f"base_model.path={config.path or BASE_PATH}"
    source, configs = _source(config, given)
    vae_source = source if config.vae_path is None else _vae_source(config.vae_path, configs)
    with refusing(given, "a whole SDXL with .safetensors weights"):
        sources = {part: vae_source if part == "vae" else source for part in PARTS}
        digests = {part: sources[part].digest(part) for part in PARTS}
        words = "".join(files_digest(files_of(configs / tokenizer)) for tokenizer in TOKENIZERS)
        text = hashlib.sha256((digests["text_encoder"] + digests["text_encoder_2"] + words).encode()).hexdigest()
        # The VAE stays in 32 bit, as SDXL's overflows in 16.
        modules = {part: source.load(part, dtype) for part in PARTS if part != "vae"}
        others = _tokenizers_and_scheduler(configs)
    vae_given = given if config.vae_path is None else f"base_model.vae_path={config.vae_path}"
    with refusing(vae_given, "a VAE of SDXL with .safetensors weights"):
        modules["vae"] = vae_source.load("vae", torch.float32)
    for part, module in modules.items():
        refuse_non_finite(module, vae_given if part == "vae" else given, part)
    if config.vae_path is not None:
        _check_vae(vae_given, modules, configs)
    base = SDXL(
        family=family,
        path=given.partition("=")[2],
        sha256=joined(digests),
        digests={"vae": digests["vae"], "text": text},
        file_hashes={
            name: kept.hashes
            for name, kept in (("vae", vae_source), ("base", source))
            if isinstance(kept, SingleFile) and (name == "base" or config.vae_path is not None)
        },
        vae=modules["vae"],
        unet=modules["unet"],
        text_encoders=(modules["text_encoder"], modules["text_encoder_2"]),
        prediction_type=config.prediction_type,
        zero_terminal_snr=config.zero_terminal_snr,
        **others,
    )
    if config.quantization is not None:
        from lorasweep.families.quantization import quantize

        quantize(base.unet, family.parts[0], config.quantization, device)
    return base.to(device, dtype)


def _source(config: BaseModelConfig, given: str) -> tuple[DiffusersFolder | SingleFile, Path]:
    """Return where the weights are, and the folder of configs and tokenizers."""
    path = config.path or str(BASE_PATH)
    if is_single_file(path):
        if problems := [f"{given}: {problem}" for problem in base_problems(path, config.vae_path is None)]:
            raise UserError(problems, title="The base model cannot be loaded")
        configs = _configs(config)
        return SingleFile(Path(path), configs, single_file), configs
    parts = [part for part in PARTS if part != "vae" or config.vae_path is None]
    if Path(path).is_dir():
        folder = Path(path)
    else:
        suffix = f".{config.variant}*.safetensors" if config.variant else "*.safetensors"
        allow = [*CONFIGS, *(f"{part}/*{suffix}" for part in parts)]
        advice = "give base_model.path the path of a diffusers folder or a .safetensors file"
        ignore = () if config.variant else VARIANTS
        folder = snapshot(path, "base_model.path", allow=allow, ignore=ignore, advice=advice)
    source = DiffusersFolder(folder, config.variant, single_file.part_class, NOUN)
    source.check(given, parts)
    return source, folder


def _configs(config: BaseModelConfig) -> Path:
    """Return the folder that a single file's configs and tokenizers come from."""
    name = config_source(config)
    if Path(name).is_dir():
        folder = Path(name)
    else:
        command = CONFIGS_COMMAND.format(id=SDXL_ID)
        advice = (
            "give the configs and tokenizers, which a single file does not hold, from a folder: run "
            f"`{command}` where there is a network, and set base_model.config_path=sdxl-configs"
        )
        folder = snapshot(name, "base_model.config_path", allow=CONFIGS, advice=advice)
    if problems := list(config_problems(str(folder))):
        raise UserError([f"base_model.config_path={name}: {problem}" for problem in problems])
    return folder


def _vae_source(path: str, configs: Path) -> DiffusersFolder | SingleFile:
    """Return where the VAE that replaces the base's own is; a single file takes the base's config of one."""
    given = f"base_model.vae_path={path}"
    if problems := [f"{given}: {problem}" for problem in vae_problems(path)]:
        raise UserError(problems)
    if Path(path).is_file():
        return SingleFile(Path(path), configs, single_file)
    folder = Path(path)
    if not folder.is_dir():
        allow = [
            f"{place}{name}"
            for place in ("", "vae/")
            for name in ("config.json", "diffusion_pytorch_model.safetensors")
        ]
        advice = "give base_model.vae_path the path of a VAE's folder or .safetensors file"
        folder = snapshot(path, "base_model.vae_path", allow=allow, advice=advice)
    place = vae_folder(folder)
    source = DiffusersFolder(place, None, single_file.part_class, NOUN, {"vae": place})
    source.check(given, ["vae"])
    return source


def _check_vae(given: str, modules: dict[str, Any], configs: Path) -> None:
    """Refuse a VAE whose latents the UNet was not trained on."""
    from diffusers import AutoencoderKL

    vae, own = modules["vae"].config, AutoencoderKL.load_config(configs, subfolder="vae")
    theirs, ours = vae.latent_channels, modules["unet"].config.in_channels
    if theirs != ours:
        raise UserError(f"{given}: its latents have {theirs} channels, the UNet's {ours}: expected a VAE of SDXL")
    expected = own.get("scaling_factor", vae.scaling_factor)
    if vae.scaling_factor != expected:
        raise UserError(
            f"{given}: its latents are scaled by {vae.scaling_factor}, the base's own VAE's by {expected}: it belongs "
            "to another family of models; expected a VAE of SDXL"
        )


def _tokenizers_and_scheduler(configs: Path) -> dict[str, Any]:
    from diffusers import EulerDiscreteScheduler
    from transformers import CLIPTokenizer

    return {
        "tokenizers": tuple(CLIPTokenizer.from_pretrained(configs, subfolder=name) for name in TOKENIZERS),
        "scheduler": EulerDiscreteScheduler.from_pretrained(configs, subfolder="scheduler"),
    }
