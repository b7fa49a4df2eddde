"""A store of tensors on disk in which nothing can ever be stale: an entry's name is the digest of all it
depends on.

Entries are never changed or expired; versions, studies and processes share them, and deleting the folder only
costs time. Each entry is one safetensors file, `<folder>/<2 hex>/<64 hex>.safetensors`, that names what it
was made from and holds a checksum, so a damaged one is noticed and made again.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lorasweep import files
from lorasweep.errors import UserError

Entry = dict[str, Tensor]


class TensorCache:
    """Entries on disk, the last used ones in memory as well.

    Args:
        folder: where the entries are; made when the first is written.
        memory_bytes: how much of it is kept in memory at most.
    """

    def __init__(self, folder: Path | str, memory_bytes: int = 1 << 30) -> None:
        self.folder = Path(folder)
        self._memory_bytes = memory_bytes
        self._recent: OrderedDict[str, Entry] = OrderedDict()
        self._held = 0

    def fetch(self, parts: dict[str, object], compute: Callable[[], Entry]) -> Entry:
        """Return the entry that `parts` describe; it is computed and stored if there is no whole one.

        Args:
            parts: everything the entry depends on, as JSON values.
                compute: makes the entry, a pure function of `parts`.

        Raises:
            UserError: the entry cannot be written (full disk, no permission).
        """
        description = json.dumps(parts, sort_keys=True)
        key = hashlib.sha256(description.encode()).hexdigest()
        if key in self._recent:
            self._recent.move_to_end(key)
            return self._recent[key]
        path = self.folder / key[:2] / f"{key}.safetensors"
        entry = _read(path)
        if entry is None:
            entry = {name: _own(tensor) for name, tensor in compute().items()}
            try:
                files.write_safetensors(path, entry, {"parts": description, "sha256": _checksum(entry)})
            except OSError as error:
                raise UserError(
                    f"the cache {self.folder} cannot be written ({error.strerror or error}): make room or set"
                    " dataset.cache to another folder",
                    title="The cache is not usable",
                ) from error
        self._remember(key, entry)
        return entry

    def _remember(self, key: str, entry: Entry) -> None:
        self._recent[key] = entry
        self._held += _size(entry)
        while self._held > self._memory_bytes and self._recent:
            self._held -= _size(self._recent.popitem(last=False)[1])


def precision(module: nn.Module) -> str:
    """Return the number format that a module computes in: part of what its outputs depend on."""
    return str(next(module.parameters()).dtype)


def _read(path: Path) -> Entry | None:
    """Return the entry at `path`, or None where there is none or it is damaged."""
    try:
        with safe_open(path, framework="pt") as stored:
            entry = {name: _own(stored.get_tensor(name)) for name in stored.keys()}  # noqa: SIM118
            expected = (stored.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return entry if expected == _checksum(entry) else None


def _own(tensor: Tensor) -> Tensor:
    """Return a CPU copy that keeps neither a larger tensor nor a mapped file alive."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _checksum(entry: Entry) -> str:
    digest = hashlib.sha256()
    for name in sorted(entry):
        tensor = entry[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _size(entry: Entry) -> int:
    return sum(tensor.nbytes for tensor in entry.values())
