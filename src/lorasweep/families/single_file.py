"""A base, or a VAE, as one safetensors file in the layout that it was published in, as ComfyUI and A1111 load it.

diffusers' own loader of whole files is not used: it takes both text encoders of an SDXL for the first one where they
are equally wide, and has no clear words for what a file lacks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lorasweep import files
from lorasweep.families.base import FileHashes
from lorasweep.families.folder import joined
from lorasweep.families.weights_files import read_header

LEGACY_HASH = slice(0x100000, 0x110000)
"""The bytes that A1111's short hash is of."""


class FileLayout(Protocol):
    """How a family's bases lie in single files."""

    @property
    def prefixes(self) -> Mapping[str, str]:
        """How the names of each part's tensors begin, by part."""
        ...

    @property
    def denoiser(self) -> str:
        """The part that tells two fine-tunes apart: all others may be common to them."""
        ...

    def empty(self, part: str, configs: Path) -> nn.Module:
        """Return a part without weights.

        Args:
            part: its name.
            configs: folder in diffusers' layout with each part's config.json.
        """
        ...

    def converted(self, part: str, module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a part's tensors by the names that diffusers and transformers have for them.

        Args:
            part: its name.
            module: what they are for, as `empty` returned it.
            tensors: by their names in the file.
        """
        ...


class SingleFile:
    """The parts of a base in a file; what they look like comes from a folder.

    Args:
        path: the file; of a VAE alone, its tensors may lack the prefix.
        configs: folder in diffusers' layout with each part's config.json.
        layout: of the family's files.
    """

    def __init__(self, path: Path, configs: Path, layout: FileLayout) -> None:
        self.path, self.configs, self._layout = path, configs, layout

    @cached_property
    def hashes(self) -> FileHashes:
        """What managers of models know the file by."""
        with open(self.path, "rb") as stream:
            stream.seek(LEGACY_HASH.start)
            legacy = hashlib.sha256(stream.read(LEGACY_HASH.stop - LEGACY_HASH.start)).hexdigest()[:8]
        return FileHashes(files.sha256_of(self.path), legacy)

    def digest(self, part: str) -> str:
        """Return a digest of a part's tensors and config; that of the denoiser is of the whole file.

        So two fine-tunes of one denoiser share what was cached of their common VAE and text encoders.
        """
        weights = self.hashes.sha256 if part == self._layout.denoiser else self._tensors_digest(part)
        return joined({"weights": weights, "config": files.sha256_of(self.configs / part / "config.json")})

    def load(self, part: str, dtype: torch.dtype) -> nn.Module:
        """Return a part in `dtype`.

        Raises:
            ValueError: tensors are missing, unknown or of another shape than the config says.
        """
        module = self._layout.empty(part, self.configs)
        expected = module.state_dict()
        tensors = self._tensors(part)
        # A VAE's file may have diffusers' names already.
        state = tensors if tensors.keys() == expected.keys() else self._layout.converted(part, module, tensors)
        where = f"{self.path.name}: the {part}"
        if missing := [name for name in expected if state.get(name) is None]:
            raise ValueError(f"{where} lacks {len(missing)} tensors, the first is {missing[0]}")
        if part == self._layout.denoiser and len(tensors) > len(expected):
            raise ValueError(f"{where} has {len(tensors)} tensors where its config knows {len(expected)}")
        for name, tensor in expected.items():
            if state[name].shape != tensor.shape:
                raise ValueError(f"{where} has {name} of {list(state[name].shape)}, its config {list(tensor.shape)}")
        module.load_state_dict({name: state[name] for name in expected}, assign=True)
        return module.to(dtype)

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
        found, prefixes = sorted(names), self._layout.prefixes
        whole = any(name.startswith(tuple(prefixes.values())) for name in found)
        return [name for name in found if name.startswith(prefixes[part])] if whole else found
