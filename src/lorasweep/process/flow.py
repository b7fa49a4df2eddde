"""Rectified flow: noise and image are joined by a straight line (Liu et al. 2022, arXiv 2209.03003).

With s from 0 to 1 a clean latent x becomes x_s = (1 - s) x + s e, and the network predicts the line's direction e - x.
A timestep is t = 1000 s, as FLUX and Stable Diffusion 3 count them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lorasweep.schema import LossConfig

DENSITIES = ("uniform", "logit_normal")
TINY = 1e-15  # of probability: a normal draw so far out has no place on the line but its ends
_NO_SNR = (
    "is defined by the signal-to-noise ratio of a diffusion model that predicts noise; a rectified flow predicts the "
    "direction from image to noise, which is as large at every timestep"
)


class RectifiedFlow:
    """A straight way from image to noise, and a network that predicts its direction.

    Args:
        density: how the timesteps are drawn that are trained: "uniform", or "logit_normal" (s is the logistic function
            of a standard normal draw), as Stable Diffusion 3 was (Esser et al. 2024, arXiv 2403.03206).
        timesteps: what a timestep is counted in: t = timesteps * s.

    Raises:
        ValueError: another `density`.
    """

    lacks: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"loss.min_snr_gamma": f"min-SNR weighting {_NO_SNR}", "loss.debiased": f"debiased estimation {_NO_SNR}"}
    )

    def __init__(self, density: str = "uniform", timesteps: int = 1000) -> None:
        if density not in DENSITIES:
            raise ValueError(f"density is {density!r}, expected one of {', '.join(DENSITIES)}")
        self.density, self._timesteps = density, timesteps

    @property
    def timesteps(self) -> int:
        """The number of timesteps; those between whole ones are drawn too."""
        return self._timesteps

    def to(self, device: torch.device | str) -> RectifiedFlow:
        """Return this process: it holds no tensor."""
        return self

    def draw(self, draws: random.Random, start: int, stop: int) -> float:
        """Return a timestep from `start` to `stop` by the density, cut off there."""
        if self.density == "uniform":
            return self.draw_evenly(draws, start, stop)
        # The inverse of the distribution function, so that each range takes one draw and none is thrown away.
        low, high = (_below(edge / self._timesteps) for edge in (start, stop))
        probability = low + (high - low) * draws.random()
        normal = NormalDist().inv_cdf(min(max(probability, TINY), 1 - TINY))
        return min(max(self._timesteps / (1 + math.exp(-normal)), start), stop)

    def draw_evenly(self, draws: random.Random, start: int, stop: int) -> float:
        """Return a timestep from `start` to `stop`, all as likely."""
        return start + (stop - start) * draws.random()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return noisy latents x_s (B, C, h, w) in fp32; latents and noise have that shape, timesteps (B,)."""
        share = self._share(timesteps).view(-1, 1, 1, 1)
        return (1 - share) * latents.float() + share * noise.float()

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return the direction e - x, (B, C, h, w) in fp32, which is the same at every timestep."""
        return noise.float() - latents.float()

    def noise_to_signal(self, timesteps: Tensor) -> Tensor:
        """Return s / (1 - s) of each timestep, (B,)."""
        share = self._share(timesteps)
        return share / (1 - share)

    def weights(self, loss: LossConfig, timesteps: Tensor) -> Iterator[Tensor]:
        """Yield nothing: all timesteps weigh the same.

        Raises:
            ValueError: `loss` asks for a weighting that the process lacks.
        """
        if loss.min_snr_gamma is not None:
            raise ValueError(self.lacks["loss.min_snr_gamma"])
        if loss.debiased:
            raise ValueError(self.lacks["loss.debiased"])
        return iter(())

    def _share(self, timesteps: Tensor) -> Tensor:
        """Return s in fp32 for each timestep (B,)."""
        return timesteps.float() / self._timesteps


def _below(share: float) -> float:
    """Return the probability that a logit-normal draw lies below `share`, which is in [0, 1]."""
    if not 0 < share < 1:
        return share
    return NormalDist().cdf(math.log(share / (1 - share)))
