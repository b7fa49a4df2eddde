"""The random part of a training sample: its noise and its timestep.

Both are drawn for each row by itself, from the row's identity, so a sample sees the same noise whatever
batch, worker or cohort it is part of and however often the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lorasweep.data.plan import Row
from lorasweep.diffusion import add_noise
from lorasweep.randomness import generator, random_for

__all__ = ["add_noise", "noise_for", "timesteps_for"]


def noise_for(rows: Sequence[Row], shape: tuple[int, int, int], seed: int, noise_offset: float = 0.0) -> Tensor:
    """Return noise (B, C, h, w), fp32 on the CPU, for rows of latents of `shape` (C, h, w).

    With `noise_offset` o, the noise is e + o z with one more standard normal draw z per row and channel,
    which lets the model learn very dark and very bright images. The offset belongs to the noise: the epsilon
    target contains it.
    """
    noise = []
    for row in rows:
        index = (row.item, row.repeat, row.epoch)
        draw = torch.randn(shape, generator=generator(seed, "noise", *index))
        if noise_offset:
            draw += noise_offset * torch.randn((shape[0], 1, 1), generator=generator(seed, "noise offset", *index))
        noise.append(draw)
    return torch.stack(noise)


def timesteps_for(rows: Sequence[Row], seed: int, count: int = 1000) -> Tensor:
    """Return one timestep per row, uniform in [0, count): (B,) int64 on the CPU."""
    return torch.tensor(
        [random_for(seed, "timestep", row.item, row.repeat, row.epoch).randrange(count) for row in rows],
        dtype=torch.long,
    )
