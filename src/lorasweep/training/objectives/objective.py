"""What the step asks of an objective: to draw noise, to predict, and to say how far off that is."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from lorasweep.data.batch import Batch


class Objective(Protocol):
    """What a version is trained for, in three steps, so that the predictions of several versions can be one forward.

    What `noise` and `predict` return is the objective's own.
    """

    def noise(self, batch: Batch, step: int, index: int) -> Any:
        """Return what is predicted from.

        Args:
            batch: latents, captions, facts, masks; maybe a rank's share of one.
            step: the optimizer step, 0-based. With `index` it decides what dropout drops.
            index: which batch of the step it is.
        """
        ...

    def predict(self, noisy: Any) -> Any:
        """Return the predictions for what `noise` returned."""
        ...

    def loss(self, predicted: Any, noisy: Any) -> Tensor:
        """Return the weighted loss of each image, (B,) in fp32, ready for backward.

        Args:
            predicted: as `predict` returned it.
            noisy: as `noise` returned it.
        """
        ...
