"""Measures the sample images of a version: every metric of images, through every feature model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lorasweep.console.lines import echo
from lorasweep.features.model import FeatureModel
from lorasweep.features.opening import open_models
from lorasweep.metrics.evidence import Evidence, References, SampleImage
from lorasweep.metrics.figures import Reading, flat
from lorasweep.metrics.metric import ImageMetric, Measured, Measuring
from lorasweep.schema import Config

if TYPE_CHECKING:
    import torch


def measure_images(
    metrics: Mapping[str, ImageMetric], models: Sequence[FeatureModel], evidence: Evidence
) -> list[Reading]:
    """Return what metrics say of evidence, by metric and model; what the evidence does not suffice for is left out.

    Args:
        metrics: by their names.
        models: feature models; the first that suits a metric gives the figures of its plain name.
        evidence: what is measured.
    """
    found: list[Reading] = []
    for name, metric in metrics.items():
        suited = [model for model in models if metric.can_use(model)]
        for model in suited:
            if (figures := metric.measure(evidence, model)) is not None:
                found.append(Reading(name, model.name, model is suited[0], figures))
    return found


class ImageMeasuring(Measuring):
    """Measures sample images against the data, against their prompts and against the base's.

    Args:
        metrics: what is measured, by name.
        models: what the images are seen with.

    Attributes:
        readings: what was measured last, with the words and single scores that the flat figures lack.
    """

    def __init__(self, metrics: Mapping[str, ImageMetric], models: Sequence[FeatureModel]) -> None:
        self._metrics, self._models = metrics, models
        self.readings: list[Reading] = []
        self._references = References()
        self._base: Sequence[SampleImage] = ()

    @classmethod
    def of(cls, config: Config, metrics: Mapping[str, ImageMetric]) -> ImageMeasuring | None:
        """Return what measures the samples of a config's versions; None where none are drawn, or nothing sees them.

        Raises:
            UserError: a feature model cannot be loaded.
        """
        if not config.sampling.every_epochs or not config.sampling.prompts:
            return None
        if not config.features.models:
            if config.evaluation.heldout_loss and config.base_model.path is not None:
                echo("no metrics of sample images: features=clip_l measures them with a CLIP from the model hub")
            return None
        return cls(metrics, open_models(config.features.models))

    def begin(self, measured: Measured) -> None:
        """Take the data, whose features are computed once for all epochs, and move the models to where the base is."""
        self._references = measured.references()
        for model in self._models:
            model.to(measured.base.device, feature_precision(measured.config, measured.base.device))

    def base_samples(self, samples: Sequence[SampleImage]) -> dict[str, float]:
        """Measure the bare base's samples, and keep them for what is measured against them."""
        self._base = samples
        return self._read(Evidence(samples, (), self._references))

    def samples(self, samples: Sequence[SampleImage]) -> dict[str, float]:
        """Measure the samples of an epoch, and their difference to the base's."""
        return self._read(Evidence(samples, self._base, self._references))

    def _read(self, evidence: Evidence) -> dict[str, float]:
        self.readings = measure_images(self._metrics, self._models, evidence)
        return flat(self.readings)


def feature_precision(config: Config, device: torch.device) -> torch.dtype:
    """Return what feature models compute in: half precision where the base does, on a GPU.

    Always fp16, whose 11 bits move a cosine by less than bf16's 8 do.

    Args:
        config: of the version.
        device: where the base is.
    """
    import torch

    whole = device.type == "cpu" or config.training.mixed_precision == "no"
    return torch.float32 if whole else torch.float16
