"""What the toy's weights can do, in figures: the same functions serve the builder, the tests and the docs."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL

from lorasweep.families.shipped import BASE_PATH, CLIP_PATH
from lorasweep.toy.attributes import caption_of
from lorasweep.toy.drawing import LabelledDrawing
from lorasweep.toy.humanoids import FIRST_HELDOUT, draw_humanoids
from lorasweep.toy.judge import judge, overall
from lorasweep.toy.pictures import as_array, as_images, as_tensor
from lorasweep.toy.sampling import STEPS, draw_samples, load_pipeline


def reconstruct(drawings: list[LabelledDrawing], base: Path = BASE_PATH) -> tuple[list[LabelledDrawing], float]:
    """Send drawings of one size through the VAE of `base`.

    Returns:
        The drawings with their pictures as the VAE gives them back, and the mean absolute error per channel, on
        a scale where black is 0 and white is 1.
    """
    vae = AutoencoderKL.from_pretrained(base / "vae", local_files_only=True).float().eval()
    pixels = as_tensor(as_array([drawing.image for drawing in drawings]))
    with torch.no_grad():
        decoded = vae.decode(vae.encode(pixels).latent_dist.mean).sample.clamp(-1, 1)
    error = float((decoded - pixels).abs().mean()) / 2
    pictures = as_images(decoded)
    return [LabelledDrawing(p, d.caption, d.attributes) for p, d in zip(pictures, drawings, strict=True)], error


def clip_figures(count: int, clip: Path = CLIP_PATH) -> dict[str, float]:
    """Return the toy CLIP's share of right answers on `count` held-out drawings, by attribute, and `overall`."""
    drawings = draw_humanoids(count, start=FIRST_HELDOUT)
    shares = judge([d.image for d in drawings], [d.attributes for d in drawings], clip)
    return {**shares, "overall": overall(shares)}


def base_figures(count: int, base: Path = BASE_PATH, clip: Path = CLIP_PATH, *, steps: int = STEPS) -> dict[str, float]:
    """Return the share of attributes that samples of the base show as prompted, by attribute, and `overall`.

    The prompts are the complete captions of `count` held-out humanoids; the toy CLIP is the judge, so its own
    mistakes count against the base.
    """
    wanted = [d.attributes for d in draw_humanoids(count, start=FIRST_HELDOUT + 5000)]
    images = draw_samples([caption_of(w) for w in wanted], steps=steps, pipeline=load_pipeline(base))
    shares = judge(images, wanted, clip)
    return {**shares, "overall": overall(shares)}
