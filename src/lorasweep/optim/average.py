"""A moving average of the trained weights: smoother than the last step's, and often better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn


class WeightsAverage:
    """The exponential moving average of named parameters, through diffusers' `EMAModel`.

    At step n (from 1) the average a of a parameter p becomes d a + (1 - d) p with d = min(decay, n / (9 + n)), and
    d = 0 at the first: the beginning, far from where the training ends, is soon forgotten.

    Args:
        parameters: what is averaged, by name.
        decay: share of the average that a step keeps, 0 to 1.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters = parameters
        self._average = EMAModel(list(parameters.values()), decay=decay)

    @torch.no_grad()
    def step(self) -> None:
        """Take in the parameters as they are after an optimizer step.

        As `EMAModel.step` does, bit for bit, in three kernels for all tensors instead of three for each; its own
        `foreach` rounds in another way.
        """
        average = self._average
        average.optimization_step += 1
        decay = average.get_decay(average.optimization_step)
        difference = torch._foreach_sub(average.shadow_params, list(self._parameters.values()))
        torch._foreach_mul_(difference, 1 - decay)
        torch._foreach_sub_(average.shadow_params, difference)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Give the parameters the average's values for as long as the context lasts."""
        parameters = list(self._parameters.values())
        self._average.store(parameters)
        self._average.copy_to(parameters)
        try:
            yield
        finally:
            self._average.restore(parameters)

    def state(self) -> dict[str, Tensor]:
        """Return the average by the parameters' names."""
        return dict(zip(self._parameters, self._average.shadow_params, strict=True))

    def load(self, state: Mapping[str, Tensor], step: int) -> None:
        """Take over an average that has seen `step` steps."""
        for name, average in zip(self._parameters, self._average.shadow_params, strict=True):
            average.copy_(state[name])
        self._average.optimization_step = step
