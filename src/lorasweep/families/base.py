"""What the rest of the program knows of a base model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from lorasweep.transfer import sent


@dataclass(frozen=True)
class TextEmbeddings:
    """What the UNet is told about a batch of captions.

    Attributes:
        hidden: (B, tokens, dim) per-token states of all text encoders side by side; tokens is 77, 152 or 227.
        pooled: (B, pooled_dim) one vector per caption.
    """

    hidden: Tensor
    pooled: Tensor

    def to(self, device: torch.device | str) -> TextEmbeddings:
        """Return the same embeddings on `device`."""
        return TextEmbeddings(sent(self.hidden, device), sent(self.pooled, device))

    @staticmethod
    def stack(parts: list[TextEmbeddings]) -> TextEmbeddings:
        """Return one batch made of the rows of all parts."""
        return TextEmbeddings(torch.cat([p.hidden for p in parts]), torch.cat([p.pooled for p in parts]))


class FileHashes(NamedTuple):
    """What managers of models know a file by.

    Attributes:
        sha256: of the whole file.
        legacy: A1111's short hash, the first 8 hex digits of the SHA-256 of 64 KiB at 1 MiB.
    """

    sha256: str
    legacy: str


class Base(Protocol):
    """A frozen model: encoders, denoiser and sampler, with digests that say exactly which weights it has."""

    family: str
    path: str
    sha256: str
    digests: dict[str, str]
    file_hashes: dict[str, FileHashes]
    modules: dict[str, nn.Module]
    latent_factor: int
    scaling_factor: float
    alphas_cumprod: Tensor

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each (B, 4, H/f, W/f), unscaled, of pixels (B, 3, H, W) in [-1, 1]."""
        ...

    def encode_text(self, captions: list[str], max_tokens: int) -> TextEmbeddings:
        """Encode captions of up to `max_tokens` (75, 150 or 225) tokens; gradients flow where they are enabled."""
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, text: TextEmbeddings, size_ids: Tensor) -> Tensor:
        """Return the UNet's prediction (B, 4, h, w) for noisy latents; size_ids is (B, 6)."""
        ...

    def tokens_needed(self, captions: list[str], max_tokens: int) -> int:
        """Return 75, 150 or 225: the shortest length that holds all captions, at most `max_tokens`."""
        ...

    def sample(
        self,
        prompts: list[str],
        *,
        negative_prompt: str,
        latents: Tensor,
        steps: int,
        guidance: float,
        max_tokens: int,
    ) -> list[Image.Image]:
        """Return one image per prompt, denoised from `latents` (B, 4, h, w), standard normal noise."""
        ...
