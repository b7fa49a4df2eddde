"""A CLIP that judges images, as transformers keeps it in a folder: what keeps one from being read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorasweep.families.paths import is_hub_id
from lorasweep.families.weights_files import PICKLES, damaged_files, only_pickles

_CONVERT_CLIP = (
    'python -c "from transformers import CLIPModel as M, CLIPProcessor as P; '
    "[k.from_pretrained('{path}').save_pretrained('{target}') for k in (M, P)]\""
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
    elif only_pickles(folder):
        command = _CONVERT_CLIP.format(path=path, target=f"{path.rstrip('/')}-safetensors")
        yield f"its weights are pickled; expected .safetensors. Convert them with: {command}"
    else:
        yield from damaged_files(folder)
