"""The forward process of a diffusion model and what a network is asked to predict: pure functions.

A clean latent x becomes x_t = sqrt(a_t) x + sqrt(1 - a_t) e with standard normal noise e, where a_t, written
`alphas_cumprod[t]`, falls from about 1 at t = 0 to about 0 at the last timestep (Ho et al. 2020, eq. 4).
"""

from __future__ import annotations

from torch import Tensor


def alphas_at(timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return a_t in fp32 for each timestep (B,), on the timesteps' device."""
    return alphas_cumprod.to(timesteps.device).float()[timesteps]


def snr(timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return the signal-to-noise ratio a_t / (1 - a_t) of each timestep, (B,)."""
    alphas = alphas_at(timesteps, alphas_cumprod)
    return alphas / (1 - alphas)


def add_noise(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return noisy latents x_t (B, C, h, w) in fp32; latents and noise have that shape, timesteps (B,)."""
    alphas = alphas_at(timesteps, alphas_cumprod).view(-1, 1, 1, 1)
    return alphas.sqrt() * latents.float() + (1 - alphas).sqrt() * noise.float()


def target(latents: Tensor, noise: Tensor, timesteps: Tensor, prediction_type: str, alphas_cumprod: Tensor) -> Tensor:
    """Return what the network should predict, (B, C, h, w) in fp32.

    `epsilon`: the noise (offset noise included). `v_prediction`: the velocity sqrt(a_t) e - sqrt(1 - a_t) x
    (Salimans and Ho 2022, appendix D).

    Raises:
        ValueError: another `prediction_type`.
    """
    if prediction_type == "epsilon":
        return noise.float()
    if prediction_type == "v_prediction":
        alphas = alphas_at(timesteps, alphas_cumprod).view(-1, 1, 1, 1)
        return alphas.sqrt() * noise.float() - (1 - alphas).sqrt() * latents.float()
    raise ValueError(f"prediction_type is {prediction_type!r}, expected epsilon or v_prediction")
