"""A store of tensors on disk in which nothing can ever be stale: an entry's name is the digest of all it
depends on.

Entries are never changed or expired; versions, studies and processes share them, and deleting the folder only
costs time. Each entry is one safetensors file, `<folder>/<2 hex>/<64 hex>.safetensors`, that names what it
was made from and holds a checksum, so a damaged one is noticed and made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lorasweep import files
from lorasweep.data.known import entry_path, unwritable
from lorasweep.errors import UserError
from lorasweep.families.finite import is_finite

Entry = dict[str, Tensor]


class TensorCache:
    """Entries on disk, checked when one is first read; afterwards the system keeps their files in memory.

    None is kept in this process: thousands of small tensors between the large ones of encoding images split the heap,
    which then grew by 0.3 MB an image (10 GB for 24,000).

    Args:
        folder: where the entries are; made when the first is written.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._checked: set[str] = set()

    def fetch(self, parts: dict[str, object], compute: Callable[[], Entry], source: str = "an entry") -> Entry:
        """Return the entry that `parts` describe; it is computed and stored if there is no whole one.

        Args:
            parts: everything the entry depends on, as JSON values.
            compute: makes the entry, a pure function of `parts`.
            source: what it is made of and by what, for messages: `a.png, encoded by the VAE`.

        Raises:
            UserError: the entry cannot be written (full disk, no permission), or holds NaN or infinity.
        """
        path, description = entry_path(self.folder, parts, ".safetensors")
        entry = _read(path, check=path.stem not in self._checked)
        if entry is None:
            entry = {name: _own(tensor) for name, tensor in compute().items()}
            if not all(map(is_finite, entry.values())):
                raise UserError(
                    f"{source}, gives NaN or infinity: its values exceed the precision in which it is computed; set "
                    "training.mixed_precision=no, or take another base",
                    title="Nothing can be learnt from this",
                )
            try:
                files.write_safetensors(path, entry, {"parts": description, "sha256": _checksum(entry)})
            except OSError as error:
                raise unwritable(self.folder, error) from error
        self._checked.add(path.stem)
        return entry


def _read(path: Path, *, check: bool) -> Entry | None:
    """Return the entry at `path`, or None where there is none or it is damaged; `check` compares its checksum."""
    try:
        with safe_open(path, framework="pt") as stored:
            entry = {name: _own(stored.get_tensor(name)) for name in stored.keys()}  # noqa: SIM118
            expected = (stored.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    whole = not check or (expected == _checksum(entry) and all(map(is_finite, entry.values())))
    return entry if whole else None


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
