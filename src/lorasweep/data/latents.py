"""Latents of images, and masks where the latents are: encoded once for all versions.

What a base's encoder gives is stored rather than a sample of it, so that each draw of an image gets one of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lorasweep.data.buckets import Placement
from lorasweep.data.cache import TensorCache
from lorasweep.data.known import Pictures, open_known_mask, placed
from lorasweep.data.masks import Mask
from lorasweep.data.resizing import fill_bucket, prepare_mask
from lorasweep.families.base import ImageEncoder

# Part of every key: raise it when what an entry holds, or how it is made, changes.
VERSION = 2


class ImageCache:
    """Latents of images, and masks.

    Args:
        base: encodes them.
        cache: where the results are kept.
        pictures: opens the images.
        area: how images are shrunk, as `resizing.fill_bucket` has it.
    """

    def __init__(self, base: ImageEncoder, cache: TensorCache, pictures: Pictures, *, area: bool = False) -> None:
        self._base, self._cache, self._pictures, self._area = base, cache, pictures, area

    def mask(self, mask: Mask, placement: Placement) -> Tensor:
        """Return a mask where its image's latents are, (1, h, w) in [0, 1], float32, on the CPU.

        It is scaled and cropped as its image, then averaged over the pixels of each latent pixel.

        Raises:
            UserError: the mask has been changed, damaged or removed since it was looked at.
        """
        factor = self._base.pixels_per_latent
        parts = {"kind": "mask", "version": VERSION, "pixels": mask.digest, **placed(placement), "factor": factor}

        def shrink() -> dict[str, Tensor]:
            grey = prepare_mask(open_known_mask(mask), placement)
            pixels = torch.from_numpy(np.array(grey, dtype=np.float32) / 255.0)
            return {"mask": avg_pool2d(pixels[None, None], factor)[0]}

        return self._cache.fetch(parts, shrink, f"{mask.path}, as a mask")["mask"]

    def as_seen(self, path: Path, digest: str, placement: Placement, flip: bool = False) -> Image.Image:
        """Return the image as the model sees it: scaled, cropped, mirrored.

        Raises:
            UserError: as `Pictures.open`.
        """
        return fill_bucket(self._pictures.open(path, digest), placement, flip, area=self._area)

    def latents(
        self, path: Path, digest: str, placement: Placement, *, flip: bool, draws: torch.Generator | None
    ) -> Tensor:
        """Return an image's latents as the denoiser takes them, (C, h, w), float32, on the CPU.

        Images are encoded one by one, so that an entry never depends on what happened to be encoded beside it.

        Args:
            path: the image, opened only when it has to be encoded.
            digest: its pixel digest.
            placement: how it fills its bucket.
            flip: whether it is mirrored.
            draws: which sample it is of what was encoded; None: the mean.

        Raises:
            UserError: as `Pictures.open`.
        """
        parts: dict[str, object] = {
            "kind": "posterior",
            "version": VERSION,
            "pixels": digest,
            **placed(placement),
            "area": self._area,
            "flip": flip,
            "vae": self._base.image_key,
        }

        def encode() -> dict[str, Tensor]:
            pixels = to_pixels(self.as_seen(path, digest, placement, flip))
            with torch.no_grad():
                encoded = self._base.encode_images(pixels.unsqueeze(0))
            return {name: tensor[0].float() for name, tensor in encoded.items()}

        return self._base.latents(self._cache.fetch(parts, encode, f"{path}, encoded by the VAE"), draws)


def to_pixels(image: Image.Image) -> Tensor:
    """Return an RGB image as (3, height, width), float32 in [-1, 1]."""
    array = np.array(image, dtype=np.float32)
    return torch.from_numpy(array / 127.5 - 1.0).permute(2, 0, 1).contiguous()
