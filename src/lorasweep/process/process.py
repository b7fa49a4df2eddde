"""What a forward process offers: how an image becomes noise, and what a network is to make of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Process(Protocol):
    """A forward process and what is predicted in it. Pure tensors: it knows no model.

    Attributes:
        timesteps: the number of timesteps: they lie in [0, timesteps), 0 having the least noise.
    """

    timesteps: int

    def draw(self, draws: random.Random, start: int, stop: int) -> float:
        """Return a timestep in [start, stop) to train at, by the density that the process is trained with."""
        ...

    def draw_evenly(self, draws: random.Random, start: int, stop: int) -> float:
        """Return a timestep in [start, stop) to measure at, uniform."""
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return noisy latents in fp32.

        Args:
            latents: (B, C, h, w) clean.
            noise: (B, C, h, w) standard normal.
            timesteps: (B,).
        """
        ...

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the network should predict, (B, C, h, w) in fp32; arguments as of `add_noise`."""
        ...

    def noise_ratio(self, timesteps: Tensor) -> Tensor:
        """Return the standard deviation of the noise divided by the signal's factor, (B,); infinite without signal."""
        ...

    def min_snr_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Return the min-SNR weight of each timestep, (B,)."""
        ...

    def debiased_weight(self, timesteps: Tensor) -> Tensor:
        """Return the debiased estimation weight of each timestep, (B,)."""
        ...
