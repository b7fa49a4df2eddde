"""Weights files on disk, judged without loading them: no torch, a few kilobytes read per file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lorasweep.text.shell import shell_quoted

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
"""Files that can run any code when they are read; this program never reads one."""


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


def is_weights_name(path: str) -> bool:
    """Return whether a path ends as a weights file does, a pickled one included."""
    return Path(path).suffix in (".safetensors", *PICKLES)


def shapes_in(path: Path) -> dict[str, Sequence[int]]:
    """Return the shapes in a safetensors file by tensor name; none if it is damaged."""
    try:
        return {name: entry["shape"] for name, entry in read_header(path)[0].items()}
    except ValueError:
        return {}


def setting(folder: Path, name: str) -> Any:
    """Return one setting of a part's config.json, or None if there is no such file or setting."""
    try:
        settings = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return None
    return settings.get(name) if isinstance(settings, dict) else None


def only_pickles(folder: Path) -> bool:
    """Return whether a part's folder has pickled weights and no others."""
    return not any(folder.glob("*.safetensors")) and any(p.suffix in PICKLES for p in folder.glob("*model*"))


def damaged_files(folder: Path) -> Iterator[str]:
    """Yield a line for each safetensors file in a folder that is cut off or no such file."""
    for file in sorted(folder.glob("*.safetensors")):
        problem = safetensors_problem(file)
        if problem:
            yield f"{file} is damaged: {problem}; download or copy it again"
