"""What weights look like on disk, judged without loading them: no torch, a few kilobytes read per file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
"""Files that can run any code when they are read; this program never reads one."""

BASE_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
"""Folders of a base in diffusers' layout that hold weights."""

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
    return (
        bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path)) and not Path(path).exists() and not Path(path).parent.exists()
    )


def latent_factor(path: str | None) -> int | None:
    """Return the pixels per latent pixel of a base: 4 on the toy (path None), what its VAE says for a folder.

    None if the folder does not tell. Models of the hub are taken for SDXL's 8.
    """
    if path is None:
        return 4
    blocks = _setting(path, "vae", "block_out_channels")
    if isinstance(blocks, list):
        return int(2 ** (len(blocks) - 1))
    return 8 if is_hub_id(path) else None


def native_resolution(path: str) -> int | None:
    """Return the side length in pixels that a base was made for; None if its folder does not tell."""
    size = 128 if is_hub_id(path) else _setting(path, "unet", "sample_size")
    factor = latent_factor(path)
    return size * factor if isinstance(size, int) and factor is not None else None


def safetensors_problem(path: Path) -> str | None:
    """Return what is wrong with a safetensors file, or None; its header is held against the file's size.

    The file is 8 bytes (little-endian length N), N bytes of JSON with each tensor's offsets, the tensors.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            return f"the file is cut off ({size} bytes)" if size else "the file is empty"
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return "its header is not that of a safetensors file"
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"the file has {size} bytes where its header says {expected}"


def base_problems(path: str) -> Iterator[str]:
    """Yield what keeps `path` from being a base, to stand after `base_model.path=...: `."""
    folder = Path(path)
    if is_hub_id(path):
        return
    if not folder.exists():
        yield "nothing is there; expected a diffusers folder or a hub id such as organisation/name"
    elif folder.is_file():
        command = _CONVERT_FILE.format(path=path, target=folder.with_suffix(""))
        kind = "a pickled file, which could run any code" if folder.suffix in PICKLES else "a single file"
        yield f"this is {kind}; expected a diffusers folder of .safetensors. Convert it with: {command}"
    elif not (folder / "model_index.json").exists() and not any((folder / part).is_dir() for part in BASE_PARTS):
        yield "this folder is no diffusers model; expected one with model_index.json, unet/, vae/ and so on"
    else:
        pickled = [part for part in BASE_PARTS if _only_pickles(folder / part)]
        if pickled:
            command = _CONVERT_FOLDER.format(path=path, target=f"{path.rstrip('/')}-safetensors")
            held = " and ".join(f"{part}/" for part in pickled)
            yield f"pickled weights only in {held}; expected .safetensors. Convert it with: {command}"
        for part in BASE_PARTS:
            if not (folder / part).is_dir():
                yield f"it has no {part}/; expected an SDXL in diffusers' layout: download it again, whole"
            yield from _corrupt(folder / part)


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


def _setting(path: str, part: str, name: str) -> Any:
    """Return one setting of a part's config.json, or None if there is no such file or setting."""
    try:
        settings = json.loads((Path(path) / part / "config.json").read_text())
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
