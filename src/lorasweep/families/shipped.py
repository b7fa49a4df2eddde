"""Where the weights lie that ship with the package: the toy base and its CLIP, which `lorasweep.toy.build` makes."""

from __future__ import annotations

from pathlib import Path

WEIGHTS_PATH = Path(__file__).parents[1] / "toy" / "weights"
"""Folder of everything that is shipped, with `build.json` telling how it was made."""

BASE_PATH = WEIGHTS_PATH / "base"
"""The toy base in diffusers' folder layout: `StableDiffusionXLPipeline.from_pretrained(BASE_PATH)` loads it."""

CLIP_PATH = WEIGHTS_PATH / "clip"
"""The toy CLIP: `CLIPModel.from_pretrained(CLIP_PATH)`, with its tokenizer and image processor."""
