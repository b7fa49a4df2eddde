"""Drawn pictures as arrays, kept on disk between the builder's stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]


def as_array(images: Sequence[Image.Image]) -> Pixels:
    """Return equally large images as one array (images, height, width, 3)."""
    return np.stack([np.asarray(image.convert("RGB"), dtype=np.uint8) for image in images])


def draw_cached(cache: Path, name: str, count: int, draw: Callable[[int], Image.Image]) -> Pixels:
    """Return pictures 0 to `count` - 1 of `draw`, from `cache/name.npy` where they were drawn before."""
    path = cache / f"{name}.npy"
    if path.exists():
        pixels: Pixels = np.load(path)
        if len(pixels) >= count:
            return pixels[:count]
    pixels = as_array([draw(index) for index in range(count)])
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, pixels)
    partial.replace(path)
    return pixels


def as_tensor(pixels: Pixels) -> Tensor:
    """Return pixels (images, height, width, 3) in 0..255 as a tensor (images, 3, height, width) in -1..1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def as_images(pixels: Tensor) -> list[Image.Image]:
    """Return a tensor (images, 3, height, width) in -1..1 as RGB pictures; values outside are clipped."""
    array = pixels.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture) for picture in array]
