"""What is measured of a version at each epoch: held-out loss, samples, CLIP similarities. Lower layers do the sums."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from lorasweep.metrics.clip import Clip
from lorasweep.metrics.heldout import HeldoutLoss
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.schema import Config
from lorasweep.training.samples import SHOWN, Samples
from lorasweep.training.version import Version


class Evaluator:
    """Measures one version, against its base.

    Args:
        config: the whole config. version: what is measured. folder: where samples go. clip: None switches the
            CLIP metrics off. stopwatch: gets the seconds of sampling and evaluating.
    """

    def __init__(self, config: Config, version: Version, folder: Path, clip: Clip | None, stopwatch: Stopwatch) -> None:
        self.config, self.version, self.clip, self.stopwatch = config, version, clip, stopwatch
        self.samples = Samples(config, version.number, version.base, folder)
        if self.samples.prompts and config.sampling.every_epochs:
            count = max(SHOWN, len(self.samples.prompts))
            self.samples.keep_training_images(version.dataset.training_images(count))
        heldout = version.dataset.heldout() if config.evaluation.heldout_loss else []
        seed = config.evaluation.seed
        self.heldout = HeldoutLoss(version.base, heldout, config.evaluation, seed) if heldout else None
        references = version.dataset.heldout_images()
        self.references = clip.image_features(references) if clip and references else None

    @torch.no_grad()
    def base_metrics(self) -> dict[str, float]:
        """Measure the bare base: the yardstick of every later figure; draw the samples of before."""
        with self.version.adapter.disabled():
            metrics: dict[str, float] = {}
            if self.heldout is not None:
                with self.stopwatch("evaluate"):
                    metrics = self.heldout.measure_base(self.version.model.predict, self.version.model.embed)
            return metrics | self._look(0, draw=0 not in self.samples.epochs())

    @torch.no_grad()
    def epoch_metrics(self, epoch: int, *, measure: bool, sample: bool) -> dict[str, float]:
        """Measure the adapter after `epoch`: the held-out loss, and samples with their similarities, as asked for."""
        self.version.adapter.activate()
        with self.version.averaged():
            metrics = self._measure() if measure else {}
            return metrics | (self._look(epoch, draw=True) if sample else {})

    def _measure(self) -> dict[str, float]:
        if self.heldout is None:
            return {}
        with self.stopwatch("evaluate"):
            return self.heldout.measure(self.version.model.predict, self.version.model.embed)

    def _look(self, epoch: int, *, draw: bool) -> dict[str, float]:
        if not self.samples.prompts or not self.config.sampling.every_epochs:
            return {}
        with self.stopwatch("sample"), self.version.accelerator.autocast():
            images = self.samples.draw(epoch) if draw else self.samples.load(epoch)
        with self.stopwatch("evaluate"):
            return self._similarities(images)

    def _similarities(self, images: list[Image.Image]) -> dict[str, float]:
        """CLIP-I of the samples that call the trigger to held-out images; CLIP-T of all samples to their prompts."""
        if self.clip is None:
            return {}
        called = [image for image, prompt in zip(images, self.samples.prompts, strict=True) if prompt.triggered]
        metrics = {"image/clip_text": self.clip.text_similarity(images, self._texts())}
        if self.references is not None and called:
            metrics["image/clip_image"] = self.clip.image_similarity(called, self.references)
        return metrics

    def _texts(self) -> list[str]:
        """Return the prompts without the trigger, a made-up word that no CLIP knows."""
        trigger = self.config.dataset.trigger
        return [p.text.replace(trigger, "").strip(" ,") if trigger else p.text for p in self.samples.prompts]
