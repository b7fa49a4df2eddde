"""SigLIP 2 (Tschannen et al. 2025, arXiv 2502.14786), and SigLIP: images, their parts and texts.

The checkpoints of one resolution, such as google/siglip2-base-patch16-224, are of SigLIP's architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lorasweep.features.kind import FeatureKind
from lorasweep.features.loading import grid_of, load_parts

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor


class Siglip:
    """A SigLIP or SigLIP 2 of one resolution, with its preprocessing.

    Args:
        model: a `SiglipModel`.
        tokenizer: its tokenizer.
        processor: its image preprocessing.
    """

    def __init__(self, model: Any, tokenizer: Any, processor: Any) -> None:
        self._model, self._tokenizer, self._processor = model, tokenizer, processor

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU, of N images of any size and mode."""
        from torch.nn.functional import normalize

        return normalize(self._vision(images).pooler_output.float(), dim=-1).cpu()

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU; a text beyond the model's length is cut."""
        import torch
        from torch.nn.functional import normalize

        length = self._model.config.text_config.max_position_embeddings
        # Padded to the full length, as it was trained.
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        with torch.no_grad():
            output = self._model.get_text_features(tokens["input_ids"].to(self._model.device))
        return normalize(output.pooler_output.float(), dim=-1).cpu()

    def patches(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, rows, columns, dim), unit length, fp32 on the CPU, of squares of each image."""
        from torch.nn.functional import normalize

        return grid_of(normalize(self._vision(images).last_hidden_state.float(), dim=-1).cpu())

    def to(self, device: torch.device | str, dtype: torch.dtype) -> None:
        """Move the model."""
        self._model.to(device=device, dtype=dtype)

    def _vision(self, images: Sequence[Image.Image]) -> Any:
        import torch

        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            return self._model.get_image_features(pixel_values=pixels.to(self._model.device, self._model.dtype))


def load(path: str) -> Siglip:
    """Load a SigLIP in transformers' format from a folder or a hub id; its weights must be safetensors.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from transformers import AutoTokenizer, SiglipModel

    # The PIL-backed class by its own name: the one called SiglipImageProcessor needs torchvision.
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    def parts() -> tuple[Any, ...]:
        model = SiglipModel.from_pretrained(path, use_safetensors=True)
        return model, AutoTokenizer.from_pretrained(path), SiglipImageProcessorPil.from_pretrained(path)

    return Siglip(*load_parts(path, "SigLIP", parts))


SIGLIP2 = FeatureKind(
    title="SigLIP 2",
    load=load,
    path="google/siglip2-base-patch16-224",
    sees=("images", "texts", "patches"),
    model_types=("siglip",),
)
