"""The trainable parts of a family of models: stated once, by the family, and asked for by everybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
    """

    name: str
    label: str
    rates: tuple[str, ...]
    layers: Mapping[str, str]
    prefix: str
    denoiser: bool = False
