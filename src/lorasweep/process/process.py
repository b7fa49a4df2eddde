"""What a forward process offers: how an image becomes noise, and what a network is to make of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lorasweep.schema import LossConfig


class Process(Protocol):
    """A forward process and what is predicted in it. Pure tensors: it knows no model.

    Attributes:
        lacks: keys of the config that ask for what the process does not have -> why.
        timesteps: their number. They lie in [0, timesteps), whole or not; 0 has the least noise.
    """

    lacks: ClassVar[Mapping[str, str]]

    @property
    def timesteps(self) -> int: ...

    def to(self, device: torch.device | str) -> Process:
        """Return the same process with what it computes from on `device`."""
        ...

    def draw(self, draws: random.Random, start: int, stop: int) -> float:
        """Return a timestep in [start, stop) to train at, by the density that the process is trained with."""
        ...

    def draw_evenly(self, draws: random.Random, start: int, stop: int) -> float:
        """Return a timestep in [start, stop) to measure at, all of them as likely."""
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return noisy latents in fp32.

        Args:
            latents: (B, C, h, w), clean.
            noise: (B, C, h, w), standard normal but for what an offset and the like add.
            timesteps: (B,).
        """
        ...

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the network should predict, (B, C, h, w) in fp32; arguments as of `add_noise`."""
        ...

    def noise_to_signal(self, timesteps: Tensor) -> Tensor:
        """Return by how much the noise exceeds the signal, (B,): the quotient of their factors in `add_noise`."""
        ...

    def weights(self, loss: LossConfig, timesteps: Tensor) -> Iterable[Tensor]:
        """Return what the losses of these timesteps are multiplied by, each (B,), as `loss` asks for."""
        ...
