"""Training to tell noise from image, the objective of every diffusion model, and what may go along with it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from lorasweep.data.dataset import Batch
from lorasweep.process.denoising import denoising_losses
from lorasweep.process.noise import Noised, noised
from lorasweep.randomness import global_draws
from lorasweep.schema import Config
from lorasweep.training.model import Model
from lorasweep.training.objectives.preservation import preservation_losses
from lorasweep.transfer import sent


class Denoising:
    """The loss of the prediction of each image's noise, and of what `loss.preservation_class` keeps.

    Args:
        config: the whole config.
        model: what predicts.
    """

    def __init__(self, config: Config, model: Model) -> None:
        self.config, self.model = config, model

    def losses(self, batch: Batch, step: int, index: int) -> Tensor:
        """Return the weighted loss of each image, (B,) in fp32, ready for backward.

        Args:
            batch: latents, captions, facts, masks; maybe a rank's share of one.
            step: the optimizer step, 0-based. With `index` it decides what dropout drops.
            index: which batch of the step it is.
        """
        config, model, device = self.config, self.model, self.model.device
        drawn = self.noised(batch)
        # All that the loss needs goes there before the forward, and nothing waits for it.
        weights = sent(batch.weights, device)
        masks = None if batch.masks is None else sent(batch.masks, device)
        kept = None
        if config.loss.preservation_class:  # first, as leaving the adapter off may change weights in place
            with self._dropout("preservation dropout", step, index):
                kept = preservation_losses(model, batch, drawn, config.dataset.trigger, config.loss.preservation_class)
        with self._dropout("dropout", step, index):
            values = denoising_losses(
                model.predict,
                drawn,
                model.condition(batch.captions, batch.facts, batch.pad_to),
                config.loss,
                model.process,
                weights=weights,
                masks=masks,
                undivided_masks=config.compat.undivided_masks,
            )
        return values if kept is None else values + config.loss.preservation_weight * kept

    def noised(self, batch: Batch) -> Noised:
        """Draw the batch's noise: of each row for itself, or of the whole batch of which this may be a share."""
        loss, seed = self.config.loss, self.config.seed
        process, device = self.model.process, self.model.device
        if not self.config.compat.noise_by_batch:
            return noised(batch.rows, batch.latents, loss, seed, process, device)
        whole = batch.whole or batch
        drawn = noised(whole.rows, whole.latents, loss, seed, process, device, by_batch=True)
        return drawn.take([whole.rows.index(row) for row in batch.rows])

    def _dropout(self, purpose: str, step: int, index: int) -> AbstractContextManager[None]:
        """Give the dropout layers draws of this step and batch."""
        if not self.config.network.draws:
            return nullcontext()
        return global_draws(self.config.seed, purpose, step, index)
