"""A base, or a part of one, in diffusers' layout: a folder per part, each with its config and weights."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lorasweep import files
from lorasweep.errors import UserError

# A weights file of a variant has a second dot: diffusion_pytorch_model.fp16.safetensors, or, in pieces,
# diffusion_pytorch_model.fp16-00001-of-00002.safetensors.
_VARIANT = re.compile(r"\w+\.(\w+)(-\d+-of-\d+)?\.safetensors")
_WEIGHTS = (".safetensors", ".bin", ".msgpack", ".onnx", ".onnx_data", ".h5")


class DiffusersFolder:
    """The parts of a base in a folder.

    Args:
        folder: the base's folder.
        variant: the weights to read, such as "fp16"; None for those without a name.
        part_class: from a part's name to its class, which has diffusers' or transformers' `from_pretrained`.
        noun: what a base of the family is called, with its article.
        places: folders of parts that are not at `folder/part`, such as a VAE's own.
    """

    def __init__(
        self,
        folder: Path,
        variant: str | None,
        part_class: Callable[[str], Any],
        noun: str,
        places: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder, self.variant = folder, variant
        self._part_class, self._noun, self._places = part_class, noun, dict(places or {})

    def check(self, given: str, parts: Sequence[str]) -> None:
        """Refuse a folder without safetensors weights of each of `parts`.

        Args:
            given: what the user wrote, as `key=value`.

        Raises:
            UserError: a part or its weights are missing, or they are pickled.
        """
        problems = []
        for part in parts:
            place = self._place(part)
            if not (place / "config.json").exists():
                problems.append(f"{given} has no {part}/config.json: expected {self._noun} in diffusers layout")
            elif not list(place.glob("*.safetensors")):
                pickled = next(place.glob("*.bin"), None)
                found = f"only the pickled {pickled.name}" if pickled else "no weights"
                name = given.partition("=")[2]
                problems.append(
                    f"{given}: {part}/ holds {found}; only .safetensors is read. Convert it with: "
                    f"python -c \"from diffusers import DiffusionPipeline as P; P.from_pretrained('{name}')"
                    f".save_pretrained('{name}-safetensors')\""
                )
        if problems:
            raise UserError(problems, title="The base model cannot be loaded")

    def digest(self, part: str) -> str:
        """Return a digest of the files of a part that are read: config, vocabulary, weights of the variant."""
        return files_digest(path for path in self._place(part).iterdir() if self._is_read(path))

    def load(self, part: str, dtype: torch.dtype) -> nn.Module:
        """Return a part in `dtype`.

        Raises:
            Exception: whatever diffusers or transformers raise about files that are damaged or do not fit.
        """
        place = self._place(part)
        options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "variant": self.variant}
        module: nn.Module = self._part_class(part).from_pretrained(place, **options)
        return module

    def _place(self, part: str) -> Path:
        return self._places.get(part, self.folder / part)

    def _is_read(self, path: Path) -> bool:
        if path.suffix not in _WEIGHTS:
            return path.is_file() and not path.name.startswith(".")
        named = _VARIANT.fullmatch(path.name)
        return path.suffix == ".safetensors" and (named[1] if named else None) == self.variant


def files_digest(paths: Iterable[Path]) -> str:
    """Return a digest of files, names included, in the order of their names."""
    return joined({path.name: files.sha256_of(Path(os.path.realpath(path))) for path in sorted(paths)})


def joined(digests: Mapping[str, str]) -> str:
    """Return one digest for named digests."""
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in digests.items()).encode()).hexdigest()


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, hidden ones left out."""
    return (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
