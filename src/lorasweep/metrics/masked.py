"""What masks add: the concept alone, without its background, and the background without the concept.

After MaSC (arXiv 2605.22469): the concept is the patches of real images inside their masks; each of them is held
against the patch of a sample that it resembles most. Samples have no masks: their patches belong to the concept where
they resemble its patches more than those of the real images' backgrounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorasweep.features.lazy_image import LazyImage
from lorasweep.metrics.evidence import RealImage

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lorasweep.features.model import FeatureModel

INSIDE = 0.5  # share of a patch that the mask covers


@dataclass(frozen=True)
class Concept:
    """The patches of real images.

    Attributes:
        inside: (M, dim) unit length, of the concept.
        outside: (N, dim) likewise, of what is around it.
    """

    inside: Tensor
    outside: Tensor


def concept_of(images: Sequence[RealImage], model: FeatureModel) -> Concept | None:
    """Return the patches of masked images; None where none has a mask, or all of them is inside, or outside."""
    import torch

    masked = [(image, image.mask()) for image in images if image.mask is not None]
    if not masked or not model.has_patches:
        return None
    patches = model.patches([image.image for image, _ in masked])
    sides = patches.shape[2], patches.shape[1]
    shares = torch.stack([_shares(mask, sides) for _, mask in masked])
    inside = shares > INSIDE
    if not inside.any() or inside.all():
        return None
    return Concept(patches[inside], patches[~inside])


def concept_similarity(samples: Sequence[LazyImage], concept: Concept, model: FeatureModel) -> list[float]:
    """Return for each sample how well its best patches match the concept's: the mean of the largest cosines."""
    return [
        float((concept.inside @ patches.flatten(0, 1).T).amax(dim=1).mean()) for patches in model.patches(list(samples))
    ]


def backgrounds(samples: Sequence[LazyImage], concept: Concept, model: FeatureModel) -> list[LazyImage]:
    """Return the samples with the concept painted over, in the mean colour of what is around it."""
    found = []
    for image, patches in zip(samples, model.patches(list(samples)), strict=True):
        nearest = (patches @ concept.inside.T).amax(dim=-1), (patches @ concept.outside.T).amax(dim=-1)
        found.append(LazyImage.of(_painted(image.open(), (nearest[0] > nearest[1]).numpy())))
    return found


def _shares(mask: Image.Image, sides: tuple[int, int]) -> Tensor:
    """Return which share of each patch a mask covers, (rows, columns)."""
    import torch
    from PIL import Image

    small = mask.convert("L").resize(sides, Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255)


def _painted(image: Image.Image, concept: np.ndarray) -> Image.Image:
    """Return an image with the patches of the concept in the mean colour of the others."""
    from PIL import Image

    covered = Image.fromarray(concept.astype(np.uint8) * 255).resize(image.size, Image.Resampling.NEAREST)
    pixels, inside = np.array(image.convert("RGB")), np.asarray(covered) > 0
    if inside.any() and not inside.all():
        pixels[inside] = pixels[~inside].mean(axis=0)
    return Image.fromarray(pixels)
