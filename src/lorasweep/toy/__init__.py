"""The toy world: drawn characters, a small base with every SDXL part, and a small CLIP, all shipped in the package.

Only two paths live here, so that a config can name the toy base without importing torch or Pillow. The parts:

- `humanoids`, `themes`: drawings, each with its attributes and a caption (Pillow only);
- `attributes`: the questions about a drawing that the toy CLIP can answer;
- `build`: the command that makes the weights, `python -m lorasweep.toy.build`.
"""

from pathlib import Path

WEIGHTS_PATH = Path(__file__).parent / "weights"
"""Folder of everything that `lorasweep.toy.build` writes, with `build.json` telling how it was made."""

BASE_PATH = WEIGHTS_PATH / "base"
"""The toy base in diffusers' folder layout: `StableDiffusionXLPipeline.from_pretrained(BASE_PATH)` loads it."""

CLIP_PATH = WEIGHTS_PATH / "clip"
"""The toy CLIP: `CLIPModel.from_pretrained(CLIP_PATH)`, with its tokenizer and image processor."""
