"""What is measured of a version at each epoch: every metric that its config switches on, and sample images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from lorasweep.evaluation.cell_keys import BaseKey
from lorasweep.metrics.evidence import SampleImage
from lorasweep.metrics.metric import Measured, Measuring
from lorasweep.metrics.references import references_of
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema import Config
from lorasweep.training.measuring_plan import epochs_with_images
from lorasweep.training.samples import MAX_TRAINING_IMAGES, Samples
from lorasweep.training.version import Version


class Evaluator:
    """Measures one version, against its base.

    Args:
        config: the whole config.
        version: what is measured.
        folder: where samples go.
        measuring: what measures it (`metrics.prepared.prepared`).
        stopwatch: gets the seconds of sampling and evaluating.

    Attributes:
        samples: its sample images.
        sampled: the epochs after which they are drawn.
    """

    def __init__(
        self, config: Config, version: Version, folder: Path, measuring: Sequence[Measuring], stopwatch: Stopwatch
    ) -> None:
        self.config, self.version, self.measuring, self.stopwatch = config, version, measuring, stopwatch
        base_key = BaseKey.of(version.base, config, version.accelerator.mixed_precision)
        self.samples = Samples(config, version.number, version.base, base_key, folder)
        if self.samples.prompts and config.sampling.every_epochs:
            count = max(MAX_TRAINING_IMAGES, len(self.samples.prompts))
            self.samples.keep_training_images(version.dataset.training_images(count))
        model, dataset = version.model, version.dataset
        images = len(self.samples.prompts)
        self.sampled = epochs_with_images(config, version.plan.epoch_ends, dataset.heldout_count, images)
        references = partial(references_of, dataset, config.dataset.trigger)
        measured = Measured(config, version.base, model.predict, model.embed, dataset.heldout, references)
        for each in measuring:
            each.begin(measured)

    @torch.no_grad()
    def base_metrics(self) -> dict[str, float]:
        """Measure the bare base: the yardstick of every later figure; draw the samples of before."""
        with self.version.adapter.disabled():
            metrics = self._measure(lambda measuring: measuring.base())
            return metrics | self._look(0, draw=0 not in self.samples.epochs())

    @torch.no_grad()
    def epoch_metrics(self, epoch: int, weights: Path | None, *, measure: bool, sample: bool) -> dict[str, float]:
        """Measure the adapter after an epoch.

        Args:
            epoch: its number, from 1.
            weights: the file that it was saved to, if it was.
            measure: the model itself.
            sample: draw samples, and measure these.
        """
        self.version.adapter.activate()
        with self.version.state.averaged():
            metrics = self._measure(lambda measuring: measuring.model()) if measure else {}
            return metrics | (self._look(epoch, weights, draw=True) if sample else {})

    def _measure(self, of: Callable[[Measuring], dict[str, float]]) -> dict[str, float]:
        with self.stopwatch("evaluate"):
            return {name: value for measuring in self.measuring for name, value in of(measuring).items()}

    def _look(self, epoch: int, weights: Path | None = None, *, draw: bool) -> dict[str, float]:
        prompts = self.samples.prompts
        if not prompts or not self.config.sampling.every_epochs:
            return {}
        with self.stopwatch("sample"), self.version.accelerator.autocast():
            images = self.samples.draw(epoch, weights) if draw else self.samples.load(epoch)
        samples = [SampleImage.of(image, prompt) for image, prompt in zip(images, prompts, strict=True)]
        return self._measure(lambda each: each.samples(samples) if epoch else each.base_samples(samples))
