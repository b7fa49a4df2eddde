"""What else lies in a folder of images: named for what it is, so that nobody takes it for something that is used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lorasweep.data.pairing import named

# What systems and other programs leave everywhere: not worth a word.
LITTER = frozenset({"__macosx", "__pycache__", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "folder.ico"})
CAPTIONS = (".txt", ".caption", ".cap", ".tags")
LISTS = (".jsonl", ".csv", ".tsv", ".json", ".parquet", ".arrow")
VIDEOS = (".mp4", ".mov", ".webm", ".avi", ".mkv", ".m4v")
NAMED_AFTER_IMAGES = "files named after images"
_KINDS = {
    "caches of sd-scripts": (".npz",),
    "videos": VIDEOS,
    "archives": (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz", ".zst"),
    "weights or caches of other programs": (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"),
    "lists of metadata": LISTS,
    "settings": (".toml", ".yaml", ".yml", ".ini", ".cfg"),
    "documents": (".md", ".pdf", ".doc", ".docx", ".rtf", ".html", ".htm", ".log"),
}
_KIND = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}


@dataclass(frozen=True)
class Unused:
    """A file in a data folder that takes no part in the run.

    Args:
        path: where it is.
        kind: what it is, a noun in the plural.
        mirrors: the folder of masks that it is in, and that of their images, where this is another one.
    """

    path: Path
    kind: str
    mirrors: tuple[Path, Path] | None = None


def foreign_kind(path: Path, stems: Collection[str]) -> str:
    """Return what a file is that is neither image nor caption nor mask in use, as a noun in the plural.

    Args:
        path: of the file.
        stems: of the images in its folder, as `pairing.loosely` has them.
    """
    suffix = path.suffix.lower()
    image = named(path.stem, stems)
    if suffix in CAPTIONS and image:
        return f"captions with another extension ({suffix})"
    if suffix == ".json" and image:
        return "metadata of single images"
    return _KIND.get(suffix, f"{NAMED_AFTER_IMAGES} ({suffix})" if suffix and image else "files of other kinds")
