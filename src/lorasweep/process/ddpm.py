"""Denoising diffusion: noise comes by a schedule of discrete timesteps (Ho et al. 2020).

A clean latent x becomes x_t = sqrt(a_t) x + sqrt(1 - a_t) e with standard normal noise e, where a_t, the product of all
alphas up to t, falls from about 1 at t = 0 to about 0 at the last timestep (eq. 4).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lorasweep.schema import LossConfig

PREDICTIONS = ("epsilon", "v_prediction")
MAX_SNR = 1000.0  # of debiased estimation: a schedule that begins without noise would have no end


class DDPM:
    """A schedule of noise, and a network that predicts the noise or the velocity.

    Args:
        alphas: (timesteps,) a_t, falling. Some schedules end at 0, in pure noise.
        prediction: "epsilon" or "v_prediction".

    Raises:
        ValueError: another `prediction`.
    """

    lacks: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(self, alphas: Tensor, prediction: str) -> None:
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction is {prediction!r}, expected one of {', '.join(PREDICTIONS)}")
        self._alphas, self.prediction = alphas, prediction

    @property
    def timesteps(self) -> int:
        """The number of timesteps."""
        return len(self._alphas)

    def to(self, device: torch.device | str) -> DDPM:
        """Return the same process with its schedule on `device`."""
        return DDPM(self._alphas.to(device), self.prediction)

    def draw(self, draws: random.Random, start: int, stop: int) -> int:
        """Return a timestep of [start, stop), all as likely."""
        return draws.randrange(start, stop)

    def draw_evenly(self, draws: random.Random, start: int, stop: int) -> int:
        """Return a timestep of [start, stop), all as likely."""
        return draws.randrange(start, stop)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return noisy latents x_t (B, C, h, w) in fp32; latents and noise have that shape, timesteps (B,)."""
        alphas = self._alphas_at(timesteps).view(-1, 1, 1, 1)
        return alphas.sqrt() * latents.float() + (1 - alphas).sqrt() * noise.float()

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the network should predict, (B, C, h, w) in fp32.

        `epsilon`: the noise (offset noise included). `v_prediction`: the velocity sqrt(a_t) e - sqrt(1 - a_t) x
        (Salimans and Ho 2022, appendix D).
        """
        if self.prediction == "epsilon":
            return noise.float()
        alphas = self._alphas_at(timesteps).view(-1, 1, 1, 1)
        return alphas.sqrt() * noise.float() - (1 - alphas).sqrt() * latents.float()

    def snr(self, timesteps: Tensor) -> Tensor:
        """Return the signal-to-noise ratio a_t / (1 - a_t) of each timestep, (B,)."""
        alphas = self._alphas_at(timesteps)
        return alphas / (1 - alphas)

    def noise_to_signal(self, timesteps: Tensor) -> Tensor:
        """Return sqrt((1 - a_t) / a_t) of each timestep, (B,)."""
        return self.snr(timesteps).rsqrt()

    def weights(self, loss: LossConfig, timesteps: Tensor) -> Iterator[Tensor]:
        """Yield the weights of the timesteps that `loss` asks for, each (B,): min-SNR, debiased estimation."""
        if loss.min_snr_gamma is not None:
            yield self.min_snr_weight(timesteps, loss.min_snr_gamma)
        if loss.debiased:
            yield self.debiased_weight(timesteps)

    def min_snr_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Return the min-SNR weight of each timestep, (B,) (Hang et al. 2023, arXiv 2303.09556).

        `epsilon`: min(SNR, gamma) / SNR. `v_prediction`: min(SNR, gamma) / (SNR + 1). Both are finite without any
        signal (SNR 0): 1 and 0.
        """
        ratio = self.snr(timesteps)
        if self.prediction == "epsilon":
            return (gamma / ratio).clamp(max=1)  # min(SNR, gamma) / SNR would be 0 / 0 without signal
        return ratio.clamp(max=gamma) / (ratio + 1)

    def debiased_weight(self, timesteps: Tensor) -> Tensor:
        """Return the debiased estimation weight of each timestep, (B,) (Yu et al. 2023, arXiv 2310.08442).

        `epsilon`: 1 / sqrt(SNR). `v_prediction`: 1 / (SNR + 1), as in kohya's sd-scripts; SNR at most 1000. The first
        grows without limit as the signal vanishes: a schedule that ends without any needs `v_prediction`.
        """
        ratio = self.snr(timesteps).clamp(max=MAX_SNR)
        return ratio.rsqrt() if self.prediction == "epsilon" else 1 / (ratio + 1)

    def _alphas_at(self, timesteps: Tensor) -> Tensor:
        """Return a_t in fp32 for each timestep (B,), on the timesteps' device."""
        return self._alphas.to(timesteps.device).float()[timesteps]
