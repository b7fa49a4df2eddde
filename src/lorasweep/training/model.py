"""The base with one version's adapter on it, computing in the precision of the run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator
from torch import Tensor

from lorasweep.adapters.adapter import Adapter
from lorasweep.data.text import TextCache
from lorasweep.families.base import Base, ImageFacts
from lorasweep.families.conditioning import Conditioning
from lorasweep.process.process import Process
from lorasweep.schema import Config


class Model:
    """What an objective and a measurement ask for predictions.

    Args:
        config: the whole config.
        base: the frozen model.
        adapter: the version's, on that base.
        text_cache: encoded captions, of use while the text encoders are frozen.
        accelerator: device and precision.

    Attributes:
        config: the whole config.
        base: the frozen model.
        adapter: the version's, on that base.
        text_cache: encoded captions.
        accelerator: device and precision.
        trains_text: whether a text encoder is trained, so that no encoded caption may be kept.
    """

    def __init__(
        self, config: Config, base: Base, adapter: Adapter, text_cache: TextCache, accelerator: Accelerator
    ) -> None:
        self.config, self.base, self.adapter = config, base, adapter
        self.text_cache, self.accelerator = text_cache, accelerator
        self.trains_text = any(encoder in adapter.components for encoder in base.family.encoders)

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def process(self) -> Process:
        """The base's forward process."""
        return self.base.process

    def embed(self, captions: Sequence[str], pad_to: Sequence[str] = ()) -> Conditioning:
        """Return captions encoded by the encoders as they are now; cached while they are frozen.

        Args:
            captions: a row for each.
            pad_to: captions that they are padded to the length of, besides their own.
        """
        if not self.trains_text:
            return self.text_cache(captions, pad_to).to(self.device)
        length = self.config.dataset.max_tokens
        if not self.config.compat.pad_captions:
            length = self.base.length([*captions, *pad_to], length)
        with self.accelerator.autocast():
            return self.base.encode_text(captions, length)

    def condition(
        self, captions: Sequence[str], facts: Sequence[ImageFacts], pad_to: Sequence[str] = ()
    ) -> Conditioning:
        """Return all that the denoiser is told of some images.

        Args:
            captions: a row for each.
            facts: how each image was made to fit.
            pad_to: as `embed` has it.
        """
        return self.base.with_facts(self.embed(captions, pad_to), facts)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return the prediction with the adapter as it is, as `Denoiser.predict` does."""
        with self.accelerator.autocast():
            return self.base.predict(noisy, timesteps, conditioning)

    def bare(self) -> AbstractContextManager[None]:
        """Return a context in which the adapter is off."""
        return self.adapter.disabled()
