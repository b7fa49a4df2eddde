"""Pictures from the toy base, by SDXL's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from lorasweep.families.shipped import BASE_PATH
from lorasweep.randomness import generator

STEPS, GUIDANCE = 20, 2.5
"""Recommended sampler steps and guidance scale (measured, see docs/toy.md)."""
BATCH = 16  # pictures per pass; it does not change them beyond rounding


@lru_cache(maxsize=2)
def load_pipeline(folder: Path = BASE_PATH) -> StableDiffusionXLPipeline:
    """Return the pipeline of the base in `folder`, in single precision, without progress bars."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw_samples(
    captions: Sequence[str],
    *,
    seed: int = 0,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    size: tuple[int, int] = (64, 64),
    pipeline: StableDiffusionXLPipeline | None = None,
) -> list[Image.Image]:
    """Draw one picture per caption.

    Args:
        captions: prompts in the captions' style; at most 77 tokens each count.
        seed: each picture's noise is a function of it and the picture's place in the list.
        steps: sampler steps, 1..1000.
        guidance: classifier-free guidance scale; 1 is none.
        size: (width, height), multiples of 4 (best of 16), 32..128 make sense.
        pipeline: what draws; the toy base when None.
    """
    pipeline = pipeline or load_pipeline()
    images: list[Image.Image] = []
    for start in range(0, len(captions), BATCH):
        part = list(captions[start : start + BATCH])
        draws = [generator(seed, "toy-sample", start + row) for row in range(len(part))]
        images += pipeline(part, num_inference_steps=steps, guidance_scale=guidance, width=size[0], height=size[1],
                           generator=draws).images  # fmt: skip
    return images
