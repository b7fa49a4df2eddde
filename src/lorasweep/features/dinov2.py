"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193): images alone, by what they show rather than by how one would say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lorasweep.features.kind import FeatureKind
from lorasweep.features.loading import grid_of, load_parts

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor


class Dinov2:
    """A DINOv2 with its preprocessing: the class token of images, and the tokens of their patches.

    Args:
        model: a `Dinov2Model`, or one with registers.
        processor: its image preprocessing.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU, of N images of any size and mode."""
        from torch.nn.functional import normalize

        return normalize(self._tokens(images)[:, 0], dim=-1)

    def patches(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, rows, columns, dim), unit length, fp32 on the CPU, of squares of each image."""
        from torch.nn.functional import normalize

        registers = getattr(self._model.config, "num_register_tokens", 0)
        return grid_of(normalize(self._tokens(images)[:, 1 + registers :], dim=-1))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> None:
        """Move the model."""
        self._model.to(device=device, dtype=dtype)

    def _tokens(self, images: Sequence[Image.Image]) -> Tensor:
        import torch

        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            output = self._model(pixel_values=pixels.to(self._model.device, self._model.dtype))
        hidden: Tensor = output.last_hidden_state
        return hidden.float().cpu()


def load(path: str) -> Dinov2:
    """Load a DINOv2 in transformers' format from a folder or a hub id; its weights must be safetensors.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from transformers import AutoModel

    # The PIL-backed class by its own name: the one that AutoImageProcessor finds needs torchvision.
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    def parts() -> tuple[Any, ...]:
        return AutoModel.from_pretrained(path, use_safetensors=True), BitImageProcessorPil.from_pretrained(path)

    return Dinov2(*load_parts(path, "DINOv2", parts))


DINOV2 = FeatureKind(
    title="DINOv2",
    load=load,
    path="facebook/dinov2-base",
    sees=("images", "patches"),
    model_types=("dinov2", "dinov2_with_registers"),
)
