"""What else lies in a folder of images: named for what it is, so that nobody takes it for something that is used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

# What systems and other programs leave everywhere: not worth a word.
LITTER = frozenset({"__macosx", "__pycache__", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "folder.ico"})
CAPTIONS = (".txt", ".caption", ".cap", ".tags")
LISTS = (".jsonl", ".csv", ".json", ".parquet", ".arrow")
_KINDS = {
    "caches of sd-scripts": (".npz",),
    "videos": (".mp4", ".mov", ".webm", ".avi", ".mkv", ".m4v"),
    "archives": (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz", ".zst"),
    "weights or caches of other programs": (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"),
    "lists of metadata": LISTS,
    "settings": (".toml", ".yaml", ".yml", ".ini", ".cfg"),
    "documents": (".md", ".pdf", ".doc", ".docx", ".rtf", ".html", ".htm", ".log"),
}
_KIND = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}


@dataclass(frozen=True)
class Unused:
    """A file in a data folder that takes no part in the training.

    Args:
        path: where it is.
        kind: what it is, a noun in the plural.
    """

    path: Path
    kind: str


def kind_of(path: Path, stems: Collection[str]) -> str:
    """Return what a file is that is neither image nor caption nor mask in use, as a noun in the plural.

    Args:
        path: of the file. stems: of the images in its folder.
    """
    suffix = path.suffix.lower()
    if suffix in CAPTIONS and path.stem in stems:
        return f"captions with another extension ({suffix})"
    if suffix == ".json" and (path.stem in stems or Path(path.stem).stem in stems):
        return "metadata of single images"
    return _KIND.get(suffix, "files of other kinds")
