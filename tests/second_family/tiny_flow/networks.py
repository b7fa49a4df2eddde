"""The networks: a transformer on patches of pixels, and one on the letters of captions; 50,000 weights together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

WIDTH, PATCH, PADDING = 40, 4, 256


class Attention(nn.Module):
    """Attention of one head."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        return self.to_out(scaled_dot_product_attention(q, k, v))


class Block(nn.Module):
    """Looks at itself, at a context if there is one, and thinks."""

    def __init__(self, *, cross: bool) -> None:
        super().__init__()
        self.attn = Attention()
        self.cross = Attention() if cross else None
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = x + self.attn(_normal(x), _normal(x))
        if self.cross is not None and context is not None:
            x = x + self.cross(_normal(x), context)
        return x + self.down(silu(self.up(_normal(x))))


class TextEncoder(nn.Module):
    """From letters to (B, length, WIDTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(PADDING + 1, WIDTH)
        self.blocks = nn.ModuleList([Block(cross=False)])

    def forward(self, ids: Tensor) -> Tensor:
        x = self.letters(ids) + _waves(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return _normal(x)


class Transformer(nn.Module):
    """From noisy pixels (B, 3, H, W), timesteps (B,) and captions to a direction of the same shape as the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.blocks = nn.ModuleList([Block(cross=True) for _ in range(2)])
        self.pixels = nn.ConvTranspose2d(WIDTH, 3, PATCH, PATCH)

    def forward(self, noisy: Tensor, timesteps: Tensor, captions: Tensor) -> Tensor:
        x = self.patches(noisy)
        shape = x.shape
        x = x.flatten(2).transpose(1, 2)
        x = x + _waves(torch.arange(x.shape[1], device=x.device)) + _waves(timesteps)[:, None]
        for block in self.blocks:
            x = block(x, captions)
        return self.pixels(_normal(x).transpose(1, 2).reshape(shape))


def _normal(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, (WIDTH,))


def _waves(places: Tensor) -> Tensor:
    """Return (..., WIDTH) sinusoids of numbers (...)."""
    rates = torch.exp(torch.arange(WIDTH // 2, device=places.device) * (-math.log(10_000) / (WIDTH // 2)))
    angles = places.float()[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
