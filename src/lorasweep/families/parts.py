"""The trainable parts of a family of models: stated once, by the family, and asked for by everybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorasweep.schema import OptimizerConfig


@dataclass(frozen=True)
class Part:
    """A part of a model that can be trained.

    Attributes:
        name: of its module, in a diffusers folder and before the stable name of each of its layers: `unet`.
        label: what a reader calls it: `UNet`.
        rates: fields of the optimizer's settings; the first that is not null is its learning rate, and 0 freezes it.
        layers: ends of the paths of modules that get an adapter, as regular expressions, by the field of the
            network's settings that chooses them; those under "" are always chosen.
        prefix: beginning of its layers' names in a file of an adapter: `lora_unet`.
        denoiser: whether it predicts the noise; otherwise it encodes captions.
        packed: a regular expression, found in the paths of the linear layers that `base_model.quantization` packs; None
            of a part that stays as it is.
    """

    name: str
    label: str
    rates: tuple[str, ...]
    layers: Mapping[str, str]
    prefix: str
    denoiser: bool = False
    packed: str | None = None

    def rate(self, optimizer: OptimizerConfig) -> float:
        """Return its learning rate; 0 where it is frozen."""
        return next((rate for rate in (getattr(optimizer, field) for field in self.rates) if rate is not None), 0.0)


def learning_rates(parts: Sequence[Part], optimizer: OptimizerConfig) -> dict[str, float]:
    """Return the learning rate of each part that is trained, by name, in the order of `parts`."""
    rates = {part.name: part.rate(optimizer) for part in parts}
    return {name: rate for name, rate in rates.items() if rate}
