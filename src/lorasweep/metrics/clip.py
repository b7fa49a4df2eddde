"""CLIP similarities: of samples to reference images (CLIP-I) and of samples to their prompts (CLIP-T).

Both are the measures of DreamBooth (Ruiz et al. 2023, section 4.1): mean cosine similarities of CLIP's
projected features, in [-1, 1]. They compare versions of one concept under one CLIP; values of two CLIPs are
not comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer

# The PIL-backed class by its own name: the one called CLIPImageProcessor needs torchvision.
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from lorasweep.errors import UserError
from lorasweep.families.finite import refuse_non_finite

BATCH = 16


class Clip:
    """A CLIP model with its preprocessing; gives unit-length features.

    Args:
        model: the model, which is put in evaluation mode.
        tokenizer: its tokenizer.
        processor: its image preprocessing.
    """

    def __init__(self, model: CLIPModel, tokenizer: Any, processor: CLIPImageProcessorPil) -> None:
        self._model = model.eval()
        self._tokenizer, self._processor = tokenizer, processor

    @classmethod
    def load(cls, path: str, device: torch.device | str = "cpu") -> Clip:
        """Load a CLIP in transformers format from a folder or a hub id; its weights must be safetensors.

        Raises:
            UserError: nothing there, no CLIP with tokenizer and preprocessor in safetensors, or weights that are no
                numbers.
        """
        try:
            model = CLIPModel.from_pretrained(path, use_safetensors=True)
            tokenizer = CLIPTokenizer.from_pretrained(path)
            processor = CLIPImageProcessorPil.from_pretrained(path)
        except (OSError, ValueError, SafetensorError) as error:
            problem = (
                f"evaluation.clip_path={path}: no transformers CLIP with safetensors weights, tokenizer "
                f"and preprocessor ({str(error).splitlines()[0]}); give its folder or hub id, or set "
                "evaluation.clip=false"
            )
            raise UserError(problem) from error
        refuse_non_finite(model, f"evaluation.clip_path={path}", "CLIP")
        model.to(torch.device(device))
        return cls(model, tokenizer, processor)

    @torch.no_grad()
    def image_features(self, images: Sequence[Image.Image]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU, of images of any size and mode."""
        parts = []
        for start in range(0, len(images), BATCH):
            batch = list(images[start : start + BATCH])
            pixels = self._processor(images=batch, return_tensors="pt")["pixel_values"]
            output = self._model.get_image_features(pixel_values=pixels.to(self._model.device))
            parts.append(output.pooler_output)
        return normalize(torch.cat(parts).float(), dim=-1).cpu()

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU; a text beyond CLIP's length is cut."""
        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        # No attention mask: attention is causal and the feature is read at the end token, before any padding.
        output = self._model.get_text_features(tokens["input_ids"].to(self._model.device))
        return normalize(output.pooler_output.float(), dim=-1).cpu()

    def image_similarity(self, samples: Sequence[Image.Image], references: Sequence[Image.Image] | Tensor) -> float:
        """Return CLIP-I: the mean cosine similarity over all pairs of a sample and a reference.

        Args:
            samples: at least one image.
            references: at least one image, or their `image_features`, to encode them once for many calls.
        """
        wanted = references if isinstance(references, Tensor) else self.image_features(references)
        return (self.image_features(samples) @ wanted.T).mean().item()

    def text_similarity(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> float:
        """Return CLIP-T: the mean cosine similarity of each image to the prompt at the same place.

        Raises:
            ValueError: not as many prompts as images.
        """
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images and {len(prompts)} prompts: each image needs its own")
        return (self.image_features(images) * self.text_features(prompts)).sum(dim=-1).mean().item()
