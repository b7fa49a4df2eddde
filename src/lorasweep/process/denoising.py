"""How well noise is told from image: what is trained, and what is measured on held-out images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from lorasweep.process import losses
from lorasweep.process.noise import Noised
from lorasweep.process.process import Process
from lorasweep.schema import LossConfig

C = TypeVar("C")


def denoising_losses(
    predict: Callable[[Tensor, Tensor, C], Tensor],
    noised: Noised,
    conditioning: C,
    loss: LossConfig,
    process: Process,
    *,
    weights: Tensor | None = None,
    masks: Tensor | None = None,
    undivided_masks: bool = False,
) -> Tensor:
    """Return how far each row's prediction is from its target, (B,) in fp32.

    Args:
        predict: the network: (noisy latents, timesteps, conditioning) -> what its process asks for.
        noised: B rows.
        conditioning: what the network is told of them.
        loss: kind of loss, weighting of the timesteps, weight outside of masks.
        process: what the timesteps are of.
        weights: (B,), of the images; None: 1.
        masks: (B, 1, h, w) in [0, 1], which pixels count; None: all.
        undivided_masks: as `losses.masked_mean` has it.
    """
    prediction = predict(noised.noisy, noised.timesteps, conditioning)
    if weights is None:
        weights = torch.ones(len(noised.noisy), device=noised.noisy.device)
    return losses.per_sample(
        prediction,
        noised.target,
        loss,
        noised.timesteps,
        process,
        weights,
        masks,
        undivided_masks=undivided_masks,
    )
