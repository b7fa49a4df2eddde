"""CLIP (Radford et al. 2021, arXiv 2103.00020): images and texts in one space; the toy base's own one too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lorasweep.families.shipped import CLIP_PATH
from lorasweep.features.kind import FeatureKind
from lorasweep.features.loading import grid_of, load_parts
from lorasweep.schema.features import Sight

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor


class Clip:
    """A CLIP with its preprocessing: the projected features of images and texts.

    Args:
        model: a `CLIPModel`.
        tokenizer: its tokenizer.
        processor: its image preprocessing.
    """

    def __init__(self, model: Any, tokenizer: Any, processor: Any) -> None:
        self._model, self._tokenizer, self._processor = model, tokenizer, processor

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU, of N images of any size and mode."""
        import torch
        from torch.nn.functional import normalize

        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            output = self._model.get_image_features(pixel_values=pixels.to(self._model.device, self._model.dtype))
        return normalize(output.pooler_output.float(), dim=-1).cpu()

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU; a text beyond CLIP's length is cut."""
        import torch
        from torch.nn.functional import normalize

        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        # No attention mask: attention is causal and the feature is read at the end token, before any padding.
        with torch.no_grad():
            output = self._model.get_text_features(tokens["input_ids"].to(self._model.device))
        return normalize(output.pooler_output.float(), dim=-1).cpu()

    def patches(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, rows, columns, dim), unit length, fp32 on the CPU, of squares of each image."""
        import torch
        from torch.nn.functional import normalize

        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            output = self._model.vision_model(pixel_values=pixels.to(self._model.device, self._model.dtype))
        return grid_of(normalize(output.last_hidden_state[:, 1:].float(), dim=-1).cpu())

    def to(self, device: torch.device | str, dtype: torch.dtype) -> None:
        """Move the model."""
        self._model.to(device=device, dtype=dtype)


def load(path: str) -> Clip:
    """Load a CLIP in transformers' format from a folder or a hub id; its weights must be safetensors.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from transformers import CLIPModel, CLIPTokenizer

    # The PIL-backed class by its own name: the one called CLIPImageProcessor needs torchvision.
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    def parts() -> tuple[Any, ...]:
        model = CLIPModel.from_pretrained(path, use_safetensors=True)
        return model, CLIPTokenizer.from_pretrained(path), CLIPImageProcessorPil.from_pretrained(path)

    return Clip(*load_parts(path, "CLIP", parts))


_SEES: tuple[Sight, ...] = ("images", "texts", "patches")
CLIP_L = FeatureKind(title="CLIP", load=load, path="openai/clip-vit-large-patch14", sees=_SEES, model_types=("clip",))
TOY = FeatureKind(title="the toy's CLIP", load=load, path=str(CLIP_PATH), sees=_SEES)
