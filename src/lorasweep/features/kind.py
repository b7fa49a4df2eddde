"""What a feature model is: what it gives of images and texts, and what is known of each kind before it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lorasweep.schema.features import Sight

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor


class ImageFeatures(Protocol):
    """A loaded model: one feature of each image. Features of two models are not comparable."""

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU.

        Args:
            images: N of any size and mode, at least one.
        """
        ...

    def to(self, device: torch.device | str, dtype: torch.dtype) -> None:
        """Move the model, where the base runs: images and texts are seen there, in this precision."""
        ...


@runtime_checkable
class TextFeatures(Protocol):
    """A model that sees texts too: their features lie in the space of its images'."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU.

        Args:
            texts: N of them, at least one; what is beyond the model's length is cut.
        """
        ...


@runtime_checkable
class PatchFeatures(Protocol):
    """A model that sees the parts of an image too."""

    def patches(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, rows, columns, dim), unit length, fp32 on the CPU, of squares that tile each image.

        Args:
            images: N of any size and mode, at least one; each is scaled to the model's square, nothing is cut off.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class FeatureKind:
    """A kind of feature model, before anything is loaded; what states one imports no torch.

    Attributes:
        title: what people call it: `CLIP`.
        load: returns a model of the kind from a folder or a hub id, on the CPU in 32 bit.
        path: the folder or hub id of the model that has this name; "" where the kind has no model of its own.
        sees: what a model of the kind sees: images, and maybe texts and patches.
        model_types: what transformers call such models in config.json: a folder or hub id is opened by these.
    """

    title: str
    load: Callable[[str], ImageFeatures]
    path: str = ""
    sees: tuple[Sight, ...] = ("images",)
    model_types: tuple[str, ...] = ()
