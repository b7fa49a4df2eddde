"""Training to tell noise from image, the objective of every diffusion model, and what may go along with it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor

from lorasweep.data.batch import Batch
from lorasweep.process.losses import per_sample
from lorasweep.process.noise import Noised, noised
from lorasweep.randomness import global_draws
from lorasweep.schema import Config
from lorasweep.training.model import Model
from lorasweep.training.objectives.preservation import preservation_losses
from lorasweep.transfer import sent


@dataclass(frozen=True)
class NoisyBatch:
    """A batch with its noise.

    Attributes:
        batch: B images, on the CPU.
        noised: noisy latents, timesteps and targets, on the device.
        weights: (B,) of the images, on the device.
        masks: (B, 1, h, w) which pixels count, on the device; None without masks.
        step: the optimizer step.
        index: which batch of the step it is.
    """

    batch: Batch
    noised: Noised
    weights: Tensor
    masks: Tensor | None
    step: int
    index: int


@dataclass(frozen=True)
class Prediction:
    """What the model says of a noisy batch.

    Attributes:
        noise: (B, C, h, w) what its process asks for.
        drift: (B,) how far the class has moved from the base's, with `loss.preservation_class`; else None.
    """

    noise: Tensor
    drift: Tensor | None


class Denoising:
    """The loss of the prediction of each image's noise, and of what `loss.preservation_class` keeps.

    Args:
        config: the whole config.
        model: what predicts.
    """

    def __init__(self, config: Config, model: Model) -> None:
        self.config, self.model = config, model

    def noise(self, batch: Batch, step: int, index: int) -> NoisyBatch:
        """Draw noise and timesteps; all that the loss needs goes to the device before the forward."""
        device = self.model.device
        noised_rows = self._noised(batch)
        masks = None if batch.masks is None else sent(batch.masks, device)
        return NoisyBatch(batch, noised_rows, sent(batch.weights, device), masks, step, index)

    def predict(self, noisy: NoisyBatch) -> Prediction:
        """Predict with the adapter, and the class of the trigger with and without it, if that is kept."""
        batch, noised_rows, loss, drift = noisy.batch, noisy.noised, self.config.loss, None
        if loss.preservation_class:  # first, as leaving the adapter off may change weights in place
            with self._dropout("preservation dropout", noisy.step, noisy.index):
                trigger = self.config.dataset.trigger
                drift = preservation_losses(self.model, batch, noised_rows, trigger, loss.preservation_class)
        with self._dropout("dropout", noisy.step, noisy.index):
            conditioning = self.model.condition(batch.captions, batch.facts, batch.pad_to)
            return Prediction(self.model.predict(noised_rows.noisy, noised_rows.timesteps, conditioning), drift)

    def loss(self, predicted: Prediction, noisy: NoisyBatch) -> Tensor:
        """Return the weighted loss of each image, (B,) in fp32."""
        config, noised_rows = self.config, noisy.noised
        values = per_sample(
            predicted.noise,
            noised_rows.target,
            config.loss,
            noised_rows.timesteps,
            self.model.process,
            noisy.weights,
            noisy.masks,
            undivided_masks=config.compat.undivided_masks,
        )
        return values if predicted.drift is None else values + config.loss.preservation_weight * predicted.drift

    def _noised(self, batch: Batch) -> Noised:
        """Draw the batch's noise: of each row for itself, or of the whole batch of which this may be a share."""
        loss, seed = self.config.loss, self.config.seed
        process, device = self.model.process, self.model.device
        if not self.config.compat.noise_by_batch:
            return noised(batch.rows, batch.latents, loss, seed, process, device)
        whole = batch.whole or batch
        noised_rows = noised(whole.rows, whole.latents, loss, seed, process, device, by_batch=True)
        return noised_rows.take([whole.rows.index(row) for row in batch.rows])

    def _dropout(self, purpose: str, step: int, index: int) -> AbstractContextManager[None]:
        """Give the dropout layers draws of this step and batch."""
        if not self.config.network.draws:
            return nullcontext()
        return global_draws(self.config.seed, purpose, step, index)
