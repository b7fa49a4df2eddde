"""What is minimised: pure functions from predictions to one loss per sample, then to a scalar.

Everything is computed in fp32. Per sample: the mean over channels and pixels of an elementwise loss, where there is a
mask the mean weighted by it, times the sample's weight (prior loss of regularisation images), times the weight of its
timestep (min-SNR or debiased estimation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lorasweep.process.ddpm import snr, target
from lorasweep.schema import LossConfig

__all__ = [
    "debiased_weight",
    "elementwise",
    "group_sizes",
    "huber_threshold",
    "masked_mean",
    "min_snr_weight",
    "per_sample",
    "reduce",
    "snr",
    "target",
]

TIMESTEPS = 1000  # training timesteps that the exponential huber schedule is defined on
MOST_SNR = 1000.0  # of debiased estimation: a schedule that begins without noise would have no end


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

    `l2`: d^2. `l1`: |d|. `huber`: 2 c (sqrt(d^2 + c^2) - c). `smooth_l1`: 2 (sqrt(d^2 + c^2) - c). The last two are
    pseudo-Huber losses, quadratic below the threshold c and linear above.

    Raises:
        ValueError: another `loss.type`.
    """
    difference = prediction.float() - target.float()
    if loss.type == "l1":
        return difference.abs()
    squared = difference**2
    if loss.type == "l2":
        return squared
    c = huber_threshold(loss, timesteps, alphas_cumprod).view(-1, 1, 1, 1)
    # sqrt(d^2 + c^2) - c written as a quotient: the difference would lose every digit of a small d.
    excess = squared / (torch.sqrt(squared + c**2) + c)
    if loss.type == "huber":
        return 2 * c * excess
    if loss.type == "smooth_l1":
        return 2 * excess
    raise ValueError(f"loss.type is {loss.type!r}, expected l2, l1, huber or smooth_l1")


def min_snr_weight(timesteps: Tensor, alphas_cumprod: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """Return the min-SNR weight of each timestep, (B,) (Hang et al. 2023, arXiv 2303.09556).

    `epsilon`: min(SNR, gamma) / SNR. `v_prediction`: min(SNR, gamma) / (SNR + 1). Both are finite without any signal
    (SNR 0): 1 and 0.

    Raises:
        ValueError: another `prediction_type`.
    """
    ratio = snr(timesteps, alphas_cumprod)
    if prediction_type == "epsilon":
        return (gamma / ratio).clamp(max=1)  # min(SNR, gamma) / SNR would be 0 / 0 without signal
    if prediction_type == "v_prediction":
        return ratio.clamp(max=gamma) / (ratio + 1)
    raise ValueError(f"prediction_type is {prediction_type!r}, expected epsilon or v_prediction")


def debiased_weight(timesteps: Tensor, alphas_cumprod: Tensor, prediction_type: str) -> Tensor:
    """Return the debiased estimation weight of each timestep, (B,) (Yu et al. 2023, arXiv 2310.08442).

    `epsilon`: 1 / sqrt(SNR). `v_prediction`: 1 / (SNR + 1), as in kohya's sd-scripts; SNR at most 1000. The first
    grows without limit as the signal vanishes: a schedule that ends without any needs `v_prediction`.

    Raises:
        ValueError: another `prediction_type`.
    """
    ratio = snr(timesteps, alphas_cumprod).clamp(max=MOST_SNR)
    if prediction_type == "epsilon":
        return ratio.rsqrt()
    if prediction_type == "v_prediction":
        return 1 / (ratio + 1)
    raise ValueError(f"prediction_type is {prediction_type!r}, expected epsilon or v_prediction")


def masked_mean(losses: Tensor, masks: Tensor, unmasked_weight: float, *, undivided: bool = False) -> Tensor:
    """Return the mean of each sample's losses (B, C, h, w), weighted by its mask, (B,).

    A pixel weighs m + (1 - m) `unmasked_weight`. Dividing by the sum of the weights, which kohya's sd-scripts does not
    do, gives every image the same say however little of it the mask keeps, so that no mask changes what a learning
    rate means.

    Args:
        losses: per element. masks: (B, 1, h, w) in [0, 1]; somewhere above 0 unless `unmasked_weight` is.
        unmasked_weight: 0 to 1. undivided: divide by the number of elements only, as sd-scripts does.
    """
    weights = unmasked_weight + (1 - unmasked_weight) * masks.to(losses)
    means = (losses * weights).mean(dim=(1, 2, 3))
    return means if undivided else means / weights.mean(dim=(1, 2, 3))


def per_sample(
    prediction: Tensor,
    target: Tensor,
    loss: LossConfig,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    prediction_type: str,
    weights: Tensor,
    masks: Tensor | None = None,
    *,
    undivided_masks: bool = False,
) -> Tensor:
    """Return the weighted loss of every sample, (B,) in fp32.

    Args:
        prediction: (B, C, h, w), any floating dtype. target: the same shape.
        loss: kind of loss, weighting of the timesteps, weight outside of masks.
        timesteps: (B,) integers. alphas_cumprod: (1000,).
        prediction_type: epsilon or v_prediction.
        weights: (B,) 1, or the prior-loss weight of regularisation images.
        masks: (B, 1, h, w) in [0, 1], or None. undivided_masks: as `masked_mean` has it.
    """
    elements = elementwise(prediction, target, loss, timesteps, alphas_cumprod)
    if masks is None:
        losses = elements.mean(dim=(1, 2, 3))
    else:
        losses = masked_mean(elements, masks, loss.unmasked_weight, undivided=undivided_masks)
    losses = losses * weights.to(losses)
    if loss.min_snr_gamma is not None:
        losses = losses * min_snr_weight(timesteps, alphas_cumprod, loss.min_snr_gamma, prediction_type)
    if loss.debiased:
        losses = losses * debiased_weight(timesteps, alphas_cumprod, prediction_type)
    return losses


def reduce(losses: Tensor, group_size: int) -> Tensor:
    """Return this batch's share of the loss of an optimizer step: the sum over its samples / `group_size`.

    Args:
        losses: (B,) of one batch, or of a process's share of it. group_size: of that batch, from `group_sizes`.
    """
    return losses.sum() / group_size


def group_sizes(batch_sizes: Sequence[int], accumulation: int, *, mean_of_batches: bool = False) -> list[int]:
    """Return what the losses of each batch of an optimizer step are divided by.

    It is the number of samples in *all* of its batches: every sample has the same say however short the last batch is.
    With `mean_of_batches` it is the batch's own size times `accumulation`, as in kohya's sd-scripts: every batch has
    the same say, and a step that has fewer than `accumulation` of them, an epoch's last, has less.

    Args:
        batch_sizes: samples of each batch of the step, over all processes.
        accumulation: batches of a full step.
    """
    if mean_of_batches:
        return [size * accumulation for size in batch_sizes]
    return [sum(batch_sizes)] * len(batch_sizes)
