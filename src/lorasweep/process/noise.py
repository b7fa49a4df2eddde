"""The random part of a training sample: its noise and its timestep.

All of it is drawn for each row by itself, from the row's identity, so a sample sees the same noise whatever batch,
worker or cohort it is part of and however often the run was interrupted. Each knob has draws of its own: two versions
that differ in one knob only share all others.

`by_batch` is the way of kohya's sd-scripts: the rows are a whole batch, whose first one lends its random strengths to
all, and pyramid noise is divided by the standard deviation of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lorasweep.process.process import Process
from lorasweep.randomness import Row, generator, random_for
from lorasweep.schema import LossConfig
from lorasweep.transfer import sent


@dataclass(frozen=True)
class Noised:
    """What the network sees of a batch, and what it is to make of it.

    Attributes:
        noisy: (B, C, h, w) latents with noise, fp32.
        target: (B, C, h, w) what should be predicted, fp32.
        timesteps: (B,), whole numbers or not, as the process has them.
    """

    noisy: Tensor
    target: Tensor
    timesteps: Tensor

    def take(self, rows: Sequence[int]) -> Noised:
        """Return what these rows of the batch have."""
        rows = sent(torch.tensor(list(rows)), self.noisy.device)
        return Noised(self.noisy[rows], self.target[rows], self.timesteps[rows])


def with_noise(
    process: Process, latents: Tensor, noise: Tensor, timesteps: Tensor, seen: Tensor | None = None
) -> Noised:
    """Return latents with noise as `process` adds it, and its target. All tensors are on one device.

    Args:
        process: DDPM or another.
        latents: (B, C, h, w), clean.
        noise: (B, C, h, w), what the target is made of.
        timesteps: (B,).
        seen: (B, C, h, w) the noise that is added, where it is another one than the target knows.
    """
    noisy = process.add_noise(latents, noise if seen is None else seen, timesteps)
    return Noised(noisy, process.target(latents, noise, timesteps), timesteps)


def noised(
    rows: Sequence[Row],
    latents: Tensor,
    loss: LossConfig,
    seed: int,
    process: Process,
    device: torch.device | str,
    *,
    by_batch: bool = False,
) -> Noised:
    """Draw noise and timesteps for a batch and add the noise.

    Args:
        rows: which draws the latents are.
        latents: (B, C, h, w) on the CPU, scaled.
        loss: the noise's knobs and the range of timesteps.
        seed: the run's.
        process: what the timesteps are of.
        device: where the result is.
        by_batch: the rows are a whole batch, and not each for itself.
    """
    cpu_noise = noise_for(rows, latents, loss, seed, by_batch=by_batch)
    noise, clean = sent(cpu_noise, device), sent(latents, device)
    timesteps = sent(timesteps_for(rows, seed, process, loss.min_timestep, loss.max_timestep), device)
    seen = None
    if loss.input_perturbation:
        seen = sent(perturbed(cpu_noise, rows, loss, seed, by_batch=by_batch), device)
    return with_noise(process, clean, noise, timesteps, seen)


def noise_for(rows: Sequence[Row], latents: Tensor, loss: LossConfig, seed: int, *, by_batch: bool = False) -> Tensor:
    """Return the noise (B, C, h, w), fp32 on the CPU, of rows whose latents have that shape.

    First the offset, then the coarser layers (`multires`), in the order of kohya's sd-scripts. Both belong to the
    noise: the epsilon target contains them.
    """
    noise = []
    for row, latent in zip(rows, latents, strict=True):
        draw = torch.randn(latent.shape, generator=_generator(seed, "noise", row))
        if loss.noise_offset:
            draw += offset(row, latent, loss, seed, strength_row=rows[0] if by_batch else row)
        if loss.multires_iterations:
            draw = pyramid_noise(draw, row, loss.multires_iterations, loss.multires_discount, seed)
            if not by_batch:
                draw = draw / draw.std()
        noise.append(draw)
    together = torch.stack(noise)
    return together / together.std() if by_batch and loss.multires_iterations else together


def offset(row: Row, latent: Tensor, loss: LossConfig, seed: int, strength_row: Row) -> Tensor:
    """Return what the noise offset adds to a row's noise, (C, 1, 1).

    It is o z with one more standard normal draw z per channel, which lets the model learn very dark and very bright
    images. o is `noise_offset`, times a uniform draw with `noise_offset_random`, that of `strength_row`, and with
    `adaptive_noise_scale` a it is max(0, o + a |mean of the channel's latent|).
    """
    strength: float | Tensor = loss.noise_offset
    if loss.noise_offset_random:
        strength = strength * _uniform(seed, "noise offset strength", strength_row)
    if loss.adaptive_noise_scale:
        means = latent.mean(dim=(1, 2), keepdim=True).abs()
        strength = (strength + loss.adaptive_noise_scale * means).clamp(min=0)
    return strength * torch.randn((len(latent), 1, 1), generator=_generator(seed, "noise offset", row))


def pyramid_noise(noise: Tensor, row: Row, iterations: int, discount: float, seed: int) -> Tensor:
    """Return noise (C, h, w) with coarser layers added (pyramid noise), not yet scaled back to a deviation of 1.

    Layer i = 0, 1, ... is normal noise of the size (h / r^i, w / r^i), at least 1, with r uniform in [2, 4), enlarged
    bilinearly and times discount^i; the last layer is the first one that has a side of 1. The layers and their sizes
    are those of kohya's sd-scripts.
    """
    height, width = noise.shape[1:]
    sizes, draws = random_for(seed, "multires sizes", *_index(row)), _generator(seed, "multires noise", row)
    for layer in range(iterations):
        shrink = (2 + 2 * sizes.random()) ** layer
        size = max(1, int(height / shrink)), max(1, int(width / shrink))
        coarse = torch.randn((1, len(noise), *size), generator=draws)
        enlarged = interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)[0]
        noise = noise + enlarged * discount**layer
        if 1 in size:
            break
    return noise


def perturbed(noise: Tensor, rows: Sequence[Row], loss: LossConfig, seed: int, *, by_batch: bool = False) -> Tensor:
    """Return the noise that the noisy latents get with input perturbation, (B, C, h, w); the target keeps `noise`.

    e + g x with standard normal x and g = `input_perturbation`, times a uniform draw per row, or one for all
    `by_batch`, with `input_perturbation_random` (Ning et al. 2023, arXiv 2301.11706).
    """
    seen = []
    for row, draw in zip(rows, noise, strict=True):
        strength = loss.input_perturbation
        if loss.input_perturbation_random:
            strength *= _uniform(seed, "input perturbation strength", rows[0] if by_batch else row)
        seen.append(draw + strength * torch.randn(draw.shape, generator=_generator(seed, "input perturbation", row)))
    return torch.stack(seen)


def timesteps_for(rows: Sequence[Row], seed: int, process: Process, start: int, stop: int) -> Tensor:
    """Return one timestep per row, (B,) on the CPU, as the process draws them in [start, stop)."""
    return torch.tensor([process.draw(random_for(seed, "timestep", *_index(row)), start, stop) for row in rows])


def _index(row: Row) -> tuple[int, int, int]:
    return row.item, row.repeat, row.epoch


def _generator(seed: int, purpose: str, row: Row) -> torch.Generator:
    return generator(seed, purpose, *_index(row))


def _uniform(seed: int, purpose: str, row: Row) -> float:
    """Return a draw in [0, 1)."""
    return random_for(seed, purpose, *_index(row)).random()
