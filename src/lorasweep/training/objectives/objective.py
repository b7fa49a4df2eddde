"""What the step asks of an objective."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from lorasweep.data.dataset import Batch


class Objective(Protocol):
    """What a version is trained for."""

    def losses(self, batch: Batch, step: int, index: int) -> Tensor:
        """Return the weighted loss of each image, (B,) in fp32, ready for backward.

        Args:
            batch: latents, captions, facts, masks; maybe a rank's share of one.
            step: the optimizer step, 0-based. With `index` it decides what dropout drops.
            index: which batch of the step it is.
        """
        ...
