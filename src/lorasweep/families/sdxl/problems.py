"""What is wrong with the files that a base of SDXL names, told without loading them: no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorasweep.errors import Problem
from lorasweep.families import kinds
from lorasweep.families.paths import is_hub_id, is_single_file
from lorasweep.families.sdxl.layout import (
    FILE_PARTS,
    NOUN,
    PARTS,
    SDXL_ID,
    TOKENIZERS,
    V_PREDICTION,
    ZERO_TERMINAL_SNR,
    marks_of,
    vae_folder,
)
from lorasweep.families.weights_files import (
    PICKLES,
    damaged_files,
    only_pickles,
    safetensors_problem,
    shapes_in,
)
from lorasweep.schema import BaseModelConfig

CONFIGS_COMMAND = 'hf download {id} --include "*.json" --include "tokenizer*/*" --local-dir sdxl-configs'
"""What fetches the configs and tokenizers that single files need, to be run where there is a network."""

_CONVERT_FILE = (
    'python -c "from diffusers import StableDiffusionXLPipeline as P; '
    "P.from_single_file('{path}').save_pretrained('{target}')\""
)
_CONVERT_FOLDER = (
    'python -c "from diffusers import DiffusionPipeline as P; '
    "P.from_pretrained('{path}', use_safetensors=False).save_pretrained('{target}')\""
)


def problems(base: BaseModelConfig) -> Iterator[Problem]:
    """Yield everything that is wrong with the files that a base names, and with how it says it was trained."""
    if base.path is not None:
        key = "base_model.path"
        yield from (Problem(f"{key}={base.path}: {it}", key) for it in base_problems(base.path, base.vae_path is None))
    if base.vae_path is not None:
        key = "base_model.vae_path"
        yield from (Problem(f"{key}={base.vae_path}: {it}", key) for it in vae_problems(base.vae_path))
    if base.path is None or not is_single_file(base.path):
        return
    if base.config_path is not None:
        key = "base_model.config_path"
        yield from (Problem(f"{key}={base.config_path}: {it}", key) for it in config_problems(base.config_path))
    marks = marks_of(base.path)
    if V_PREDICTION in marks and base.prediction_type != "v_prediction":
        yield Problem(
            f"base_model.prediction_type={base.prediction_type}: {base.path} is marked as predicting velocities; set "
            "base_model.prediction_type=v_prediction",
            "base_model.prediction_type",
        )
    if ZERO_TERMINAL_SNR in marks and not base.zero_terminal_snr:
        yield Problem(
            f"base_model.zero_terminal_snr=false: {base.path} is marked as trained with a schedule that ends in pure "
            "noise; set base_model.zero_terminal_snr=true",
            "base_model.zero_terminal_snr",
        )


def base_problems(path: str, own_vae: bool = True) -> Iterator[str]:
    """Yield what keeps `path` from being a base, to stand after `base_model.path=...: `.

    Args:
        path: folder, hub id or single file.
        own_vae: whether the base's own VAE is used, so that it must be there.
    """
    folder = Path(path)
    if is_hub_id(path):
        return
    if not folder.exists():
        yield "nothing is there; give a diffusers folder, a .safetensors file or a hub id such as organisation/name"
    elif folder.is_file() and folder.suffix in PICKLES:
        command = _CONVERT_FILE.format(path=path, target=folder.with_suffix(""))
        yield f"this is a pickled file, which could run any code; expected .safetensors. Convert it with: {command}"
    elif folder.is_file():
        yield from _file_problems(folder, own_vae)
    elif not (folder / "model_index.json").exists() and not any((folder / part).is_dir() for part in PARTS):
        yield "this folder is no diffusers model; expected one with model_index.json, unet/, vae/ and so on"
    else:
        parts = [part for part in PARTS if own_vae or part != "vae"]
        pickled = [part for part in parts if only_pickles(folder / part)]
        if pickled:
            command = _CONVERT_FOLDER.format(path=path, target=f"{path.rstrip('/')}-safetensors")
            folders = " and ".join(f"{part}/" for part in pickled)
            yield f"pickled weights only in {folders}; expected .safetensors. Convert it with: {command}"
        for part in parts:
            if not (folder / part).is_dir():
                yield f"it has no {part}/; expected an SDXL in diffusers' layout: download it again, whole"
            yield from damaged_files(folder / part)


def vae_problems(path: str) -> Iterator[str]:
    """Yield what keeps `path` from replacing a base's VAE, to stand after `base_model.vae_path=...: `."""
    place = Path(path)
    if is_hub_id(path):
        return
    if not place.exists():
        yield "nothing is there; expected a diffusers VAE folder, a .safetensors file or a hub id"
    elif place.is_file():
        shapes = {} if place.suffix in PICKLES or safetensors_problem(place) else shapes_in(place)
        kind = kinds.kind_of(shapes)
        if place.suffix in PICKLES:
            yield "this is a pickled file, which could run any code; download the .safetensors of the same VAE"
        elif problem := safetensors_problem(place):
            yield f"it is damaged: {problem}; download or copy it again"
        elif kind not in (kinds.VAE, NOUN) or not any("decoder.conv_in." in name for name in shapes):
            yield f"this is {kind}; expected a VAE, such as sdxl_vae.safetensors"
    elif not (vae_folder(place) / "config.json").exists():
        yield "there is no config.json; expected a diffusers VAE folder, or a base that has one in vae/"
    elif only_pickles(vae_folder(place)):
        yield "its weights are pickled; expected .safetensors: download that form of the same VAE"
    else:
        yield from damaged_files(vae_folder(place))


def config_problems(path: str) -> Iterator[str]:
    """Yield what keeps `path` from giving configs and tokenizers, to stand after `base_model.config_path=...: `."""
    if is_hub_id(path):
        return
    needed = [f"{part}/config.json" for part in PARTS] + ["scheduler/scheduler_config.json"]
    needed += [
        f"{tokenizer}/{file}"
        for tokenizer in TOKENIZERS
        if not (Path(path) / tokenizer / "tokenizer.json").exists()  # which holds both of the following
        for file in ("vocab.json", "merges.txt")
    ]
    if missing := [name for name in needed if not (Path(path) / name).exists()]:
        yield (
            f"it has no {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}; expected a folder with the "
            f"configs and tokenizers of an SDXL, which this command makes: {CONFIGS_COMMAND.format(id=SDXL_ID)}"
        )


def _file_problems(file: Path, own_vae: bool) -> Iterator[str]:
    if problem := safetensors_problem(file):
        yield f"it is damaged: {problem}; download or copy it again"
        return
    shapes = shapes_in(file)
    kind = kinds.kind_of(shapes)
    if kind != NOUN:
        yield f"this is {kind}; expected a checkpoint of SDXL: {kinds.advice(kind) or f'give one, such as {SDXL_ID}'}"
    elif own_vae and not any(name.startswith(FILE_PARTS["vae"]) for name in shapes):
        yield "it has no VAE; give one with base_model.vae_path=sdxl_vae.safetensors"
