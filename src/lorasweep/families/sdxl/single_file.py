"""A base, or a VAE, as one safetensors file in Stability's original layout ("SGM"), as ComfyUI and A1111 load it.

diffusers converts the tensors of each part. Its own loader of whole files is not used: it takes both text encoders for
the first one where they are equally wide, and has no clear words for what a file lacks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lorasweep import files
from lorasweep.families.base import FileHashes
from lorasweep.families.folder import joined, part_class
from lorasweep.weights import FILE_PARTS, read_header

LEGACY_HASH = slice(0x100000, 0x110000)
"""The bytes that A1111's short hash is of."""


class SingleFile:
    """The parts of a base in a file; what they look like comes from a folder.

    Args:
        path: the file; of a VAE alone, its tensors may lack `first_stage_model.`.
        configs: folder in diffusers' layout with each part's config.json.
    """

    def __init__(self, path: Path, configs: Path) -> None:
        self.path, self.configs = path, configs

    @cached_property
    def hashes(self) -> FileHashes:
        """What managers of models know the file by."""
        with open(self.path, "rb") as stream:
            stream.seek(LEGACY_HASH.start)
            legacy = hashlib.sha256(stream.read(LEGACY_HASH.stop - LEGACY_HASH.start)).hexdigest()[:8]
        return FileHashes(files.sha256_of(self.path), legacy)

    def digest(self, part: str) -> str:
        """Return a digest of a part's tensors and config; that of the UNet is of the whole file.

        So two fine-tunes of one UNet share what was cached of their common VAE and text encoders.
        """
        weights = self.hashes.sha256 if part == "unet" else self._tensors_digest(part)
        return joined({"weights": weights, "config": files.sha256_of(self.configs / part / "config.json")})

    def load(self, part: str, dtype: torch.dtype) -> nn.Module:
        """Return a part in `dtype`.

        Raises:
            ValueError: tensors are missing, unknown or of another shape than the config says.
        """
        module = self._empty(part)
        expected = module.state_dict()
        tensors = self._tensors(part)
        # A VAE's file may have diffusers' names already.
        state = tensors if tensors.keys() == expected.keys() else self._converted(part, module, tensors)
        where = f"{self.path.name}: the {part}"
        if missing := [name for name in expected if state.get(name) is None]:
            raise ValueError(f"{where} lacks {len(missing)} tensors, the first is {missing[0]}")
        if part == "unet" and len(tensors) > len(expected):
            raise ValueError(f"{where} has {len(tensors)} tensors where its config knows {len(expected)}")
        for name, tensor in expected.items():
            if state[name].shape != tensor.shape:
                raise ValueError(f"{where} has {name} of {list(state[name].shape)}, its config {list(tensor.shape)}")
        module.load_state_dict({name: state[name] for name in expected}, assign=True)
        return module.to(dtype)

    def _empty(self, part: str) -> nn.Module:
        """Return a part without weights, as its config says."""
        from accelerate import init_empty_weights

        cls = part_class(part)
        module: nn.Module
        with init_empty_weights():
            if part in ("unet", "vae"):
                module = cls.from_config(cls.load_config(self.configs, subfolder=part))
            else:
                module = cls(cls.config_class.from_pretrained(self.configs, subfolder=part))
        return module

    def _converted(self, part: str, module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
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

    def _tensors(self, part: str) -> dict[str, Tensor]:
        with safe_open(self.path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in self._names(part, file.keys())}

    def _tensors_digest(self, part: str) -> str:
        header, start = read_header(self.path)
        digest = hashlib.sha256()
        with open(self.path, "rb") as stream:
            for name in self._names(part, header):
                entry = header[name]
                begin, end = entry["data_offsets"]
                digest.update(f"{name} {entry['dtype']} {entry['shape']}\n".encode())
                stream.seek(start + begin)
                digest.update(stream.read(end - begin))
        return digest.hexdigest()

    def _names(self, part: str, names: Iterable[str]) -> list[str]:
        """Return which of `names` are a part's; all of them in a file without prefixes, which is a VAE's."""
        found = sorted(names)
        whole = any(name.startswith(tuple(FILE_PARTS.values())) for name in found)
        return [name for name in found if name.startswith(FILE_PARTS[part])] if whole else found
