"""What is minimised: pure functions from predictions to one loss per sample, then to a scalar.

Everything is computed in fp32. Per sample: the mean over channels and pixels of an elementwise loss, times
the sample's weight (prior loss of regularisation images), times the min-SNR weight of its timestep.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lorasweep.config import LossConfig
from lorasweep.diffusion import snr, target

__all__ = ["elementwise", "huber_threshold", "min_snr_weight", "per_sample", "reduce", "snr", "target"]

TIMESTEPS = 1000  # training timesteps that the exponential huber schedule is defined on


def huber_threshold(loss: LossConfig, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return the threshold c of the pseudo-Huber losses for each timestep, (B,).

    `constant`: huber_c * huber_scale. `exponential`: from huber_scale at t = 0 down to huber_c * huber_scale
    at t = 1000, geometrically. `snr`: (1 - huber_c) / (1 + sigma)^2 + huber_c with sigma = sqrt((1 - a_t) /
    a_t), from 1 without noise down to huber_c in pure noise; huber_scale plays no part. (The schedules of
    kohya's sd-scripts.)

    Raises:
        ValueError: another `huber_schedule`.
    """
    if loss.huber_schedule == "constant":
        return torch.full(timesteps.shape, loss.huber_c * loss.huber_scale, device=timesteps.device)
    if loss.huber_schedule == "exponential":
        return torch.exp(math.log(loss.huber_c) * timesteps.float() / TIMESTEPS) * loss.huber_scale
    if loss.huber_schedule == "snr":
        sigma = snr(timesteps, alphas_cumprod).rsqrt()
        return (1 - loss.huber_c) / (1 + sigma) ** 2 + loss.huber_c
    raise ValueError(f"loss.huber_schedule is {loss.huber_schedule!r}, expected constant, exponential or snr")


def elementwise(
    prediction: Tensor, target: Tensor, loss: LossConfig, timesteps: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """Return the loss of every element, (B, C, h, w) in fp32, with d = prediction - target.

    `l2`: d^2. `huber`: 2 c (sqrt(d^2 + c^2) - c). `smooth_l1`: 2 (sqrt(d^2 + c^2) - c). The last two are
    pseudo-Huber losses, quadratic below the threshold c and linear above.

    Raises:
        ValueError: another `loss.type`.
    """
    squared = (prediction.float() - target.float()) ** 2
    if loss.type == "l2":
        return squared
    c = huber_threshold(loss, timesteps, alphas_cumprod).view(-1, 1, 1, 1)
    # sqrt(d^2 + c^2) - c written as a quotient: the difference would lose every digit of a small d.
    excess = squared / (torch.sqrt(squared + c**2) + c)
    if loss.type == "huber":
        return 2 * c * excess
    if loss.type == "smooth_l1":
        return 2 * excess
    raise ValueError(f"loss.type is {loss.type!r}, expected l2, huber or smooth_l1")


def min_snr_weight(timesteps: Tensor, alphas_cumprod: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """Return the min-SNR weight of each timestep, (B,) (Hang et al. 2023, arXiv 2303.09556).

    `epsilon`: min(SNR, gamma) / SNR. `v_prediction`: min(SNR, gamma) / (SNR + 1).

    Raises:
        ValueError: another `prediction_type`.
    """
    ratio = snr(timesteps, alphas_cumprod)
    capped = ratio.clamp(max=gamma)
    if prediction_type == "epsilon":
        return capped / ratio
    if prediction_type == "v_prediction":
        return capped / (ratio + 1)
    raise ValueError(f"prediction_type is {prediction_type!r}, expected epsilon or v_prediction")


def per_sample(
    prediction: Tensor,
    target: Tensor,
    loss: LossConfig,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    prediction_type: str,
    weights: Tensor,
) -> Tensor:
    """Return the weighted loss of every sample, (B,) in fp32.

    Args:
        prediction: (B, C, h, w), any floating dtype. target: the same shape.
        loss: kind of loss and min-SNR gamma.
        timesteps: (B,) integers. alphas_cumprod: (1000,).
        prediction_type: epsilon or v_prediction.
        weights: (B,) 1, or the prior-loss weight of regularisation images.
    """
    losses = elementwise(prediction, target, loss, timesteps, alphas_cumprod).mean(dim=(1, 2, 3))
    losses = losses * weights.to(losses)
    if loss.min_snr_gamma is not None:
        losses = losses * min_snr_weight(timesteps, alphas_cumprod, loss.min_snr_gamma, prediction_type)
    return losses


def reduce(losses: Tensor, group_size: int) -> Tensor:
    """Return this batch's share of the loss of an optimizer step: the sum over its samples / `group_size`.

    Args:
        losses: (B,) of one batch.
        group_size: samples in *all* batches accumulated into the step. Dividing by it, and not each batch by
            its own size, gives every sample the same say however short the last batch is.
    """
    return losses.sum() / group_size
