"""What weights look like on disk, judged without loading them: no torch, a few kilobytes read per file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorasweep.schema import BaseModelConfig
from lorasweep.text import shell_quoted
from lorasweep.toy import BASE_PATH

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
"""Files that can run any code when they are read; this program never reads one."""

BASE_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
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

_SDXL, _VAE, _LORA = "an SDXL", "a VAE", "a LoRA"
_UNKNOWN = "no model that is known here"
_ADVICE = {
    _VAE: "a VAE replaces a base's own: give it as base_model.vae_path",
    _LORA: "a LoRA is made for a base: give that one",
    "a UNet in diffusers' layout": "give the folder with model_index.json instead of one of its files",
}

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
_CONVERT_CLIP = (
    'python -c "from transformers import CLIPModel as M, CLIPProcessor as P; '
    "[k.from_pretrained('{path}').save_pretrained('{target}') for k in (M, P)]\""
)


def is_hub_id(path: str) -> bool:
    """Return whether `path` reads as `organisation/name` of a model hub rather than as a local path.

    It is a local path if it exists, if its parent folder does, or if it has any other form.
    """
    named = bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path)) and not _is_weights_name(path)
    return named and not Path(path).exists() and not Path(path).parent.exists()


def is_single_file(path: str | None) -> bool:
    """Return whether a base is one file (there or missing) rather than a folder or a hub id."""
    return path is not None and (Path(path).is_file() or (_is_weights_name(path) and not Path(path).is_dir()))


def config_source(base: BaseModelConfig) -> str:
    """Return the folder or hub id that a base's configs and tokenizers come from."""
    if base.path is None:
        return str(BASE_PATH)
    return (base.config_path or SDXL_ID) if is_single_file(base.path) else base.path


def latent_factor(base: BaseModelConfig) -> int | None:
    """Return the pixels per latent pixel of a base, as the config of its VAE (or of the one replacing it) tells.

    None if its folder does not tell. Models of the hub are taken for SDXL's 8.
    """
    if base.vae_path is not None and is_hub_id(base.vae_path):
        return 8
    source = config_source(base)
    folder = Path(source) / "vae"
    if base.vae_path is not None and Path(base.vae_path).is_dir():
        folder = vae_folder(Path(base.vae_path))
    blocks = _setting(folder, "block_out_channels")
    if isinstance(blocks, list):
        return int(2 ** (len(blocks) - 1))
    return 8 if is_hub_id(source) else None


def native_resolution(base: BaseModelConfig) -> int | None:
    """Return the side length in pixels that a base was made for; None if its folder does not tell."""
    source = config_source(base)
    size = 128 if is_hub_id(source) else _setting(Path(source) / "unet", "sample_size")
    factor = latent_factor(base)
    return size * factor if isinstance(size, int) and factor is not None else None


def vae_folder(folder: Path) -> Path:
    """Return where the VAE of a folder is: the folder itself, or its vae/ if it is a whole base."""
    return folder / "vae" if (folder / "vae").is_dir() else folder


def read_header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Return the entries of a safetensors file (dtype, shape, data_offsets by name), and where its tensors begin.

    The file is 8 bytes (little-endian length N), N bytes of JSON with each tensor's offsets, the tensors.

    Raises:
        ValueError: what is wrong with the file; its header is held against its size.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"the file is cut off ({size} bytes)" if size else "the file is empty")
        try:
            header = json.loads(stream.read(length).decode("utf-8", "replace"))  # what is no text is in metadata
            header.pop("__metadata__", None)
            ends = [entry["data_offsets"][1] for entry in header.values() if entry["shape"] is not None]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise ValueError("its header is not that of a safetensors file") from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise ValueError(f"the file has {size} bytes where its header says {expected}")
    return header, 8 + length


def safetensors_problem(path: Path) -> str | None:
    """Return what is wrong with a safetensors file, or None; see `read_header`."""
    try:
        read_header(path)
    except ValueError as error:
        return str(error)
    return None


def kind_of(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return what the tensors of a file are, as a noun with its article: "an SDXL", "a LoRA", "a VAE" and so on.

    Args:
        shapes: shape by tensor name.
    """

    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in shapes)

    unet = FILE_PARTS["unet"]
    if any(re.search(r"^(lora|lycoris)_|[._]lora[._]|\.(hada_w|lokr_w|oft_|dora_scale)", name) for name in shapes):
        return _LORA
    if has("control_model.", "controlnet_cond_embedding."):
        return "a ControlNet"
    for start in (unet, ""):
        for model, layer in (("a FLUX", "double_blocks."), ("an SD3", "joint_blocks.")):
            if has(start + layer):
                return f"{model} model"
    if has(unet):
        if has("cond_stage_model."):
            return "an SD 2 model" if has("cond_stage_model.model.") else "an SD 1.5 model"
        if has("conditioner.embedders.0.model.") and not has("conditioner.embedders.1."):
            return "the SDXL refiner"
        channels = shapes.get(f"{unet}input_blocks.0.0.weight", (0, 4))[1]
        if channels != 4:
            return f"an SDXL for inpainting or editing (its UNet takes {channels} channels)"
        if has(FILE_PARTS["text_encoder"]) and has(FILE_PARTS["text_encoder_2"]):
            return _SDXL
        return "a UNet without the two text encoders of SDXL"
    if has(*(f"{start}decoder.conv_in." for start in ("", FILE_PARTS["vae"], "vae."))):
        return _VAE
    if has("time_embedding.linear_1."):
        return "a UNet in diffusers' layout"
    if has("text_model.", "embeddings."):
        return "a text encoder"
    if {"emb_params", "clip_l", "clip_g"} & shapes.keys():
        return "a textual inversion"
    return f"{_UNKNOWN} (its first tensor is {next(iter(shapes), 'missing')})"


def tensors_command(path: Path) -> str:
    """Return a shell command that writes a pickled file's tensors as safetensors, without running any code in it."""
    source, target = json.dumps(str(path)), json.dumps(str(path.with_suffix(".safetensors")))
    code = (
        "import torch, safetensors.torch as s; "
        f'd = torch.load({source}, map_location="cpu", weights_only=True); d = d.get("state_dict", d); '
        "s.save_file({k: v.clone().contiguous() for k, v in d.items() if isinstance(v, torch.Tensor)}, "
        f"{target})"
    )
    return f"python -c {shell_quoted(code)}"


def lora_problem(file: Path) -> str | None:
    """Return what keeps a file from being a LoRA, to stand after `network.start_from=...: `; None if it looks like one.

    Names that are not known pass: whoever reads the tensors says more of them.
    """
    if not file.is_file():
        return "there is no such file; expected a LoRA's .safetensors file"
    if file.suffix.lower() in PICKLES:
        return f"a pickled file could run any code; expected .safetensors. Convert it with: {tensors_command(file)}"
    if problem := safetensors_problem(file):
        return f"{problem}; copy or download it again"
    if not (shapes := _shapes(file)):
        return "it holds no tensors, so that training would start at zero; give the weights file of a LoRA"
    kind = kind_of(shapes)
    if kind == _LORA or kind.startswith(_UNKNOWN):
        return None
    if kind == _SDXL:
        return f"this is {kind}; expected a LoRA: a checkpoint to train is given as base_model.path"
    return f"this is {kind}; expected a LoRA"


def marks_of(path: str) -> set[str]:
    """Return which of V_PREDICTION and ZERO_TERMINAL_SNR a single file is marked with."""
    return {V_PREDICTION, ZERO_TERMINAL_SNR} & _shapes(Path(path)).keys() if Path(path).is_file() else set()


def base_problems(path: str, own_vae: bool = True) -> Iterator[str]:
    """Yield what keeps `path` from being a base, to stand after `base_model.path=...: `.

    Args:
        path: folder, hub id or single file. own_vae: whether the base's own VAE is used, so that it must be there.
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
    elif not (folder / "model_index.json").exists() and not any((folder / part).is_dir() for part in BASE_PARTS):
        yield "this folder is no diffusers model; expected one with model_index.json, unet/, vae/ and so on"
    else:
        parts = [part for part in BASE_PARTS if own_vae or part != "vae"]
        pickled = [part for part in parts if _only_pickles(folder / part)]
        if pickled:
            command = _CONVERT_FOLDER.format(path=path, target=f"{path.rstrip('/')}-safetensors")
            held = " and ".join(f"{part}/" for part in pickled)
            yield f"pickled weights only in {held}; expected .safetensors. Convert it with: {command}"
        for part in parts:
            if not (folder / part).is_dir():
                yield f"it has no {part}/; expected an SDXL in diffusers' layout: download it again, whole"
            yield from _corrupt(folder / part)


def vae_problems(path: str) -> Iterator[str]:
    """Yield what keeps `path` from replacing a base's VAE, to stand after `base_model.vae_path=...: `."""
    place = Path(path)
    if is_hub_id(path):
        return
    if not place.exists():
        yield "nothing is there; expected a diffusers VAE folder, a .safetensors file or a hub id"
    elif place.is_file():
        shapes = {} if place.suffix in PICKLES or safetensors_problem(place) else _shapes(place)
        kind = kind_of(shapes)
        if place.suffix in PICKLES:
            yield "this is a pickled file, which could run any code; download the .safetensors of the same VAE"
        elif problem := safetensors_problem(place):
            yield f"it is damaged: {problem}; download or copy it again"
        elif kind not in (_VAE, _SDXL) or not any("decoder.conv_in." in name for name in shapes):
            yield f"this is {kind}; expected a VAE, such as sdxl_vae.safetensors"
    elif not (vae_folder(place) / "config.json").exists():
        yield "there is no config.json; expected a diffusers VAE folder, or a base that has one in vae/"
    elif _only_pickles(vae_folder(place)):
        yield "its weights are pickled; expected .safetensors: download that form of the same VAE"
    else:
        yield from _corrupt(vae_folder(place))


def config_problems(path: str) -> Iterator[str]:
    """Yield what keeps `path` from giving configs and tokenizers, to stand after `base_model.config_path=...: `."""
    if is_hub_id(path):
        return
    needed = [f"{part}/config.json" for part in BASE_PARTS] + ["scheduler/scheduler_config.json"]
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


def clip_problems(path: str) -> Iterator[str]:
    """Yield what keeps `path` from being a CLIP, to stand after `evaluation.clip_path=...: `."""
    folder = Path(path)
    if is_hub_id(path):
        return
    if not folder.exists():
        yield "nothing is there; expected a transformers CLIP folder or a hub id such as organisation/name"
    elif folder.is_file():
        kind = "a pickled file, which could run any code" if folder.suffix in PICKLES else "a single file"
        command = _CONVERT_CLIP.format(path=folder.parent, target=f"{folder.parent}-safetensors")
        yield f"this is {kind}; expected a transformers CLIP folder. Convert its folder with: {command}"
    elif _only_pickles(folder):
        command = _CONVERT_CLIP.format(path=path, target=f"{path.rstrip('/')}-safetensors")
        yield f"its weights are pickled; expected .safetensors. Convert them with: {command}"
    else:
        yield from _corrupt(folder)


def _is_weights_name(path: str) -> bool:
    return Path(path).suffix in (".safetensors", *PICKLES)


def _shapes(path: Path) -> dict[str, Sequence[int]]:
    """Return the shapes in a safetensors file by name; none if it is damaged."""
    try:
        return {name: entry["shape"] for name, entry in read_header(path)[0].items()}
    except ValueError:
        return {}


def _file_problems(file: Path, own_vae: bool) -> Iterator[str]:
    if problem := safetensors_problem(file):
        yield f"it is damaged: {problem}; download or copy it again"
        return
    shapes = _shapes(file)
    kind = kind_of(shapes)
    if kind != _SDXL:
        yield f"this is {kind}; expected a checkpoint of SDXL: {_ADVICE.get(kind, 'give one, such as ' + SDXL_ID)}"
    elif own_vae and not any(name.startswith(FILE_PARTS["vae"]) for name in shapes):
        yield "it has no VAE; give one with base_model.vae_path=sdxl_vae.safetensors"


def _setting(folder: Path, name: str) -> Any:
    """Return one setting of a part's config.json, or None if there is no such file or setting."""
    try:
        settings = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return None
    return settings.get(name) if isinstance(settings, dict) else None


def _only_pickles(folder: Path) -> bool:
    return not any(folder.glob("*.safetensors")) and any(p.suffix in PICKLES for p in folder.glob("*model*"))


def _corrupt(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.safetensors")):
        problem = safetensors_problem(file)
        if problem:
            yield f"{file} is damaged: {problem}; download or copy it again"
