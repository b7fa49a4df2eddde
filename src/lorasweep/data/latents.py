"""What is known of images and kept: their size and digest, the VAE's posterior and the mask for each placement.

Both are found by content (of the file, of the pixels), so that an edited image is simply another one.
Mean and standard deviation are stored rather than one sample, so that each draw of an image gets a sample of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lorasweep import files
from lorasweep.bases.base import Base
from lorasweep.data import images
from lorasweep.data.buckets import Placement
from lorasweep.data.cache import TensorCache, precision
from lorasweep.data.images import BadImage, Facts
from lorasweep.data.likeness import Likeness, likeness
from lorasweep.data.masks import Mask
from lorasweep.data.resizing import prepare, prepare_mask
from lorasweep.errors import UserError

# Part of every key: raise it when what an entry holds, or how it is made, changes.
VERSION = 2


class ImageCache:
    """Facts and posteriors of images.

    Args:
        base: its VAE encodes.
        cache: where the results are kept.
        background: colour behind transparent pixels.
        area: how images are shrunk, as `resizing.prepare` has it.
    """

    def __init__(self, base: Base, cache: TensorCache, background: str, *, area: bool = False) -> None:
        self._base, self._cache, self._background, self._area = base, cache, background, area
        self._vae = [base.digests["vae"], precision(base.modules["vae"])]

    def look(self, path: Path) -> Facts:
        """Return the facts of an image file; a file whose bytes are known is not decoded again.

        Raises:
            BadImage: as `images.open_image`.
        """
        parts: dict[str, object] = {"kind": "facts", "background": self._background}
        return self._facts(parts, path, lambda path: images.look(path, self._background))

    def look_mask(self, path: Path, alpha: bool) -> Facts:
        """Return the facts of the mask that an image file holds; `alpha` as `images.open_mask` has it.

        Raises:
            BadImage: as `images.open_mask`.
        """
        parts: dict[str, object] = {"kind": "mask facts", "alpha": alpha}
        return self._facts(parts, path, lambda path: images.facts_of(images.open_mask(path, alpha)))

    def mask(self, mask: Mask, placement: Placement) -> Tensor:
        """Return a mask where its image's latents are, (1, h, w) in [0, 1], float32, on the CPU.

        It is scaled and cropped as its image, then averaged over the pixels of each latent pixel.

        Raises:
            UserError: the mask has been changed, damaged or removed since it was looked at.
        """
        factor = self._base.latent_factor
        parts = {"kind": "mask", "pixels": mask.digest, **_placed(placement), "factor": factor}

        def shrink() -> dict[str, Tensor]:
            grey = _unchanged(mask.path, mask.digest, lambda path: images.open_mask(path, mask.alpha))
            pixels = torch.from_numpy(np.array(prepare_mask(grey, placement), dtype=np.float32) / 255.0)
            return {"mask": avg_pool2d(pixels[None, None], factor)[0]}

        return self._cache.fetch({"version": VERSION, **parts}, shrink)["mask"]

    def likeness(self, path: Path, digest: str) -> Likeness:
        """Return what an image looks like from far away.

        Args:
            path: the image, opened only where that is not known. digest: its pixel digest.

        Raises:
            UserError: as `open`.
        """

        def see() -> dict[str, Tensor]:
            seen = likeness(self.open(path, digest))
            bits = [list(value.to_bytes(16, "big")) for value in (seen.bits, seen.mirrored)]
            colours = [list(seen.colours), list(seen.mirrored_colours)]
            return {
                "bits": torch.tensor(bits, dtype=torch.uint8),
                "colours": torch.tensor(colours, dtype=torch.uint8),
            }

        entry = self._cache.fetch({"kind": "likeness", "version": VERSION, "pixels": digest}, see)
        bits = [int.from_bytes(bytes(value), "big") for value in entry["bits"].tolist()]
        colours = [tuple(values) for values in entry["colours"].tolist()]
        return Likeness(bits[0], bits[1], colours[0], colours[1])

    def open(self, path: Path, digest: str) -> Image.Image:
        """Return the image, which must still be the one that was looked at.

        Raises:
            UserError: it has been changed, damaged or removed since.
        """
        return _unchanged(path, digest, lambda path: images.open_image(path, self._background))

    def as_seen(self, path: Path, digest: str, placement: Placement, flip: bool = False) -> Image.Image:
        """Return the image as the model sees it: scaled, cropped, mirrored.

        Raises:
            UserError: as `open`.
        """
        return prepare(self.open(path, digest), placement, flip, area=self._area)

    def posterior(self, path: Path, digest: str, placement: Placement, flip: bool) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each (4, h, w), unscaled, float32, on the CPU.

        Images are encoded one by one, so that an entry never depends on what happened to be encoded beside
        it.

        Args:
            path: the image, opened only when it has to be encoded.
            digest: its pixel digest.
            placement: how it fills its bucket.
            flip: whether it is mirrored.

        Raises:
            UserError: as `open`.
        """
        parts: dict[str, object] = {
            "kind": "posterior",
            "version": VERSION,
            "pixels": digest,
            **_placed(placement),
            "area": self._area,
            "flip": flip,
            "vae": self._vae,
        }

        def encode() -> dict[str, Tensor]:
            pixels = to_pixels(self.as_seen(path, digest, placement, flip))
            with torch.no_grad():
                mean, std = self._base.encode_images(pixels.unsqueeze(0))
            return {"mean": mean[0].float(), "std": std[0].float()}

        entry = self._cache.fetch(parts, encode)
        return entry["mean"], entry["std"]

    def _facts(self, parts: dict[str, object], path: Path, look: Callable[[Path], Facts]) -> Facts:
        """Return what `look` says of a file, a function of its bytes and `parts`; known bytes are not decoded again."""
        try:
            content = files.sha256_of(path)
        except OSError as error:
            raise BadImage(images.unreadable(error)) from error

        def decode() -> dict[str, Tensor]:
            facts = look(path)
            digest = torch.tensor(list(bytes.fromhex(facts.digest)), dtype=torch.uint8)
            return {"size": torch.tensor([facts.width, facts.height]), "digest": digest}

        entry = self._cache.fetch({**parts, "version": VERSION, "file": content}, decode)
        width, height = entry["size"].tolist()
        return Facts(width, height, bytes(entry["digest"].tolist()).hex())


def _unchanged(path: Path, digest: str, opened: Callable[[Path], Image.Image]) -> Image.Image:
    """Return what `opened` makes of a file, which must still be what `digest` says."""
    try:
        image = opened(path)
        if images.pixel_digest(image) == digest:
            return image
        fault = "was changed while this run was using it"
    except BadImage as error:
        fault = str(error)
    raise UserError(f"{path}: {fault}; then start again", title="An image changed")


def _placed(placement: Placement) -> dict[str, object]:
    """Return what of a placement an entry depends on."""
    return {"resized": placement.resized, "crop": [placement.left, placement.top, *placement.bucket]}


def to_pixels(image: Image.Image) -> Tensor:
    """Return an RGB image as (3, height, width), float32 in [-1, 1]."""
    array = np.array(image, dtype=np.float32)
    return torch.from_numpy(array / 127.5 - 1.0).permute(2, 0, 1).contiguous()
