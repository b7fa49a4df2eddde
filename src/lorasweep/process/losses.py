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

from lorasweep.process.process import Process
from lorasweep.schema import LossConfig


def huber_threshold(loss: LossConfig, timesteps: Tensor, process: Process) -> Tensor:
    """Return the threshold c of the pseudo-Huber losses for each timestep, (B,).

    `constant`: huber_c * huber_scale. `exponential`: from huber_scale at the first timestep down to huber_c *
    huber_scale after the last, geometrically. `snr`: (1 - huber_c) / (1 + sigma)^2 + huber_c with sigma the ratio of
    noise to signal, from 1 without noise down to huber_c in pure noise; huber_scale plays no part. (The schedules of
    kohya's sd-scripts.)

    Args:
        loss: which schedule, and its numbers.
        timesteps: (B,).
        process: that they are of.

    Raises:
        ValueError: another `huber_schedule`.
    """
    if loss.huber_schedule == "constant":
        return torch.full(timesteps.shape, loss.huber_c * loss.huber_scale, device=timesteps.device)
    if loss.huber_schedule == "exponential":
        return torch.exp(math.log(loss.huber_c) * timesteps.float() / process.timesteps) * loss.huber_scale
    if loss.huber_schedule == "snr":
        return (1 - loss.huber_c) / (1 + process.noise_to_signal(timesteps)) ** 2 + loss.huber_c
    raise ValueError(f"loss.huber_schedule is {loss.huber_schedule!r}, expected constant, exponential or snr")


def elementwise(prediction: Tensor, target: Tensor, loss: LossConfig, timesteps: Tensor, process: Process) -> Tensor:
    """Return the loss of every element, (B, C, h, w) in fp32, with d = prediction - target.

    `l2`: d^2. `l1`: |d|. `huber`: 2 c (sqrt(d^2 + c^2) - c). `smooth_l1`: 2 (sqrt(d^2 + c^2) - c). The last two are
    pseudo-Huber losses, quadratic below the threshold c and linear above.

    Args:
        prediction: (B, C, h, w), any floating dtype.
        target: the same shape.
        loss: kind of loss.
        timesteps: (B,).
        process: that they are of.

    Raises:
        ValueError: another `loss.type`.
    """
    difference = prediction.float() - target.float()
    if loss.type == "l1":
        return difference.abs()
    squared = difference**2
    if loss.type == "l2":
        return squared
    c = huber_threshold(loss, timesteps, process).view(-1, 1, 1, 1)
    # sqrt(d^2 + c^2) - c written as a quotient: the difference would lose every digit of a small d.
    excess = squared / (torch.sqrt(squared + c**2) + c)
    if loss.type == "huber":
        return 2 * c * excess
    if loss.type == "smooth_l1":
        return 2 * excess
    raise ValueError(f"loss.type is {loss.type!r}, expected l2, l1, huber or smooth_l1")


def masked_mean(losses: Tensor, masks: Tensor, unmasked_weight: float, *, undivided: bool = False) -> Tensor:
    """Return the mean of each sample's losses (B, C, h, w), weighted by its mask, (B,).

    A pixel weighs m + (1 - m) `unmasked_weight`. Dividing by the sum of the weights, which kohya's sd-scripts does not
    do, weights every image equally however little of it the mask keeps, so that no mask changes what a learning rate
    means.

    Args:
        losses: (B, C, h, w), per element.
        masks: (B, 1, h, w) in [0, 1]; somewhere above 0 unless `unmasked_weight` is.
        unmasked_weight: 0 to 1.
        undivided: divide by the number of elements only, as sd-scripts does.
    """
    weights = unmasked_weight + (1 - unmasked_weight) * masks.to(losses)
    means = (losses * weights).mean(dim=(1, 2, 3))
    return means if undivided else means / weights.mean(dim=(1, 2, 3))


def per_sample(
    prediction: Tensor,
    target: Tensor,
    loss: LossConfig,
    timesteps: Tensor,
    process: Process,
    weights: Tensor,
    masks: Tensor | None = None,
    *,
    undivided_masks: bool = False,
) -> Tensor:
    """Return the weighted loss of every sample, (B,) in fp32.

    Args:
        prediction: (B, C, h, w), any floating dtype.
        target: the same shape.
        loss: kind of loss, weighting of the timesteps, weight outside of masks.
        timesteps: (B,).
        process: that they are of.
        weights: (B,) 1, or the prior-loss weight of regularisation images.
        masks: (B, 1, h, w) in [0, 1], or None.
        undivided_masks: as `masked_mean` has it.
    """
    elements = elementwise(prediction, target, loss, timesteps, process)
    if masks is None:
        losses = elements.mean(dim=(1, 2, 3))
    else:
        losses = masked_mean(elements, masks, loss.unmasked_weight, undivided=undivided_masks)
    losses = losses * weights.to(losses)
    for weight in process.weights(loss, timesteps):
        losses = losses * weight
    return losses


def reduce(losses: Tensor, group_size: int) -> Tensor:
    """Return this batch's share of the loss of an optimizer step: the sum over its samples / `group_size`.

    Args:
        losses: (B,) of one batch, or of a rank's share of it.
        group_size: of that batch, from `group_sizes`.
    """
    return losses.sum() / group_size


def group_sizes(batch_sizes: Sequence[int], accumulation: int, *, mean_of_batches: bool = False) -> list[int]:
    """Return what the losses of each batch of an optimizer step are divided by.

    It is the number of samples in *all* of its batches: every sample counts the same however short the last batch is.
    With `mean_of_batches` it is the batch's own size times `accumulation`, as in kohya's sd-scripts: every batch
    counts the same, and a step that has fewer than `accumulation` of them, an epoch's last, counts less.

    Args:
        batch_sizes: samples of each batch of the step, over all ranks.
        accumulation: batches of a full step.
        mean_of_batches: `compat.mean_of_batches`.
    """
    if mean_of_batches:
        return [size * accumulation for size in batch_sizes]
    return [sum(batch_sizes)] * len(batch_sizes)
