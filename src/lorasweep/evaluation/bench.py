"""Measures weights files on one base with one config: the base first, then any number of files at any strengths."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lorasweep.data.dataset import Dataset, HeldoutImage
from lorasweep.data.providers import with_images
from lorasweep.errors import UserError
from lorasweep.evaluation.cell_keys import BaseKey, Request
from lorasweep.evaluation.cells import Cell
from lorasweep.evaluation.drawing import Advance, Drawer
from lorasweep.evaluation.weights import WeightsFile, all_on
from lorasweep.families.base import Base
from lorasweep.families.conditioning import Conditioning
from lorasweep.features.lazy_image import LazyImage
from lorasweep.metrics.evidence import Evidence, References, SampleImage
from lorasweep.metrics.figures import Reading
from lorasweep.metrics.images import ImageMeasuring
from lorasweep.metrics.intervals import Estimate, difference
from lorasweep.metrics.metric import Measured
from lorasweep.metrics.prepared import prepared
from lorasweep.metrics.references import references_of
from lorasweep.schema import Config


@dataclass(frozen=True)
class Data:
    """The images that a version is measured on, as far as they are still there.

    Attributes:
        references: as pictures.
        heldout: returns the held-out images as the model sees them.
        sha256: of images and captions that are trained on; "" where they are gone.
        heldout_sha256: of those that are measured on.
        problem: why there are none; "" where there are.
    """

    references: References
    heldout: Callable[[], Sequence[HeldoutImage]]
    sha256: str = ""
    heldout_sha256: str = ""
    problem: str = ""

    @classmethod
    def of(cls, config: Config, base: Base) -> Data:
        """Read the data of a config; where that is impossible, there is none.

        Args:
            config: of a version.
            base: encodes its held-out images.
        """
        nothing = cls(References(trigger=config.dataset.trigger), lambda: ())
        if config.dataset.path is None and config.dataset.theme is None:
            return nothing
        try:
            dataset = Dataset.build(with_images(config), base, print_line=lambda line: None)
        except UserError as error:
            return Data(nothing.references, nothing.heldout, problem="; ".join(error.problems))
        references = references_of(dataset, config.dataset.trigger)
        return cls(references, dataset.heldout, dataset.sha256, dataset.heldout_sha256)


@dataclass(frozen=True)
class Measurement:
    """What was measured of one weights file at one strength.

    Attributes:
        metrics: by name, with `_low`, `_high` and `_delta` where a metric has them.
        cells: what was drawn, in the order of the requests.
        seconds: that drawing and measuring took.
        samples: the same pictures as metrics take them.
        readings: what the metrics of images say, with the scores of single pictures.
    """

    metrics: dict[str, float]
    cells: Sequence[Cell]
    seconds: float
    samples: Sequence[SampleImage] = ()
    readings: Sequence[Reading] = ()

    @property
    def distance(self) -> float:
        """The mean distance of its pictures from the base's."""
        apart = [cell.distance for cell in self.cells if cell.distance is not None]
        return sum(apart) / len(apart) if apart else 0.0


class Bench:
    """Measures weights files under one config.

    Args:
        config: how, and on which data.
        drawer: draws on the config's base.
        requests: what is drawn; none measures the loss alone.
        advance: called after each image that was drawn.

    Attributes:
        base: what was measured of the bare base.
        data: the images of the config.

    Raises:
        UserError: something that measures cannot be loaded.
    """

    def __init__(
        self, config: Config, drawer: Drawer, requests: Sequence[Request], advance: Advance = lambda: None
    ) -> None:
        self._config, self._drawer, self._requests = config, drawer, list(requests)
        self.data = Data.of(config, drawer.base)
        self._on: Base = drawer.base
        self._measuring = prepared(config)
        measured = Measured(
            config, drawer.base, self._predict, self._embed, self.data.heldout, lambda: self.data.references
        )
        for each in self._measuring:
            each.begin(measured)
        self.base = self._measure((), "base", "base_samples", advance)

    def measure(self, weights: Sequence[tuple[WeightsFile, float]], advance: Advance = lambda: None) -> Measurement:
        """Return what is measured of weights files that are on the base together.

        Args:
            weights: read for this base, with their strengths.
            advance: called after each image that was drawn.
        """
        return self._measure(weights, "model", "samples", advance)

    def missing(self, weights: Sequence[tuple[WeightsFile, float]]) -> int:
        """Return how many images `measure` would draw."""
        return self._drawer.missing(self._requests, weights)

    @property
    def base_key(self) -> BaseKey:
        """What the base is to a key."""
        return self._drawer.base_key

    @torch.no_grad()
    def _measure(
        self,
        weights: Sequence[tuple[WeightsFile, float]],
        model: Literal["base", "model"],
        samples: Literal["base_samples", "samples"],
        advance: Advance,
    ) -> Measurement:
        started = time.perf_counter()
        metrics: dict[str, float] = {}
        with all_on(self._drawer.base, weights) as self._on:
            for each in self._measuring:
                metrics |= getattr(each, model)()
        self._on = self._drawer.base
        cells = self._drawer.draw(self._requests, weights, advance)
        pictures = [
            SampleImage(LazyImage(cell.pixels, cell.image), request.prompt)
            for cell, request in zip(cells, self._requests, strict=True)
        ]
        for each in self._measuring if pictures else ():
            metrics |= getattr(each, samples)(pictures)
        readings = [one for each in self._measuring if isinstance(each, ImageMeasuring) for one in each.readings]
        return Measurement(metrics, cells, time.perf_counter() - started, pictures, readings)

    def _predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        with self._drawer.autocast():
            return self._on.predict(noisy, timesteps, conditioning)

    def _embed(self, captions: list[str]) -> Conditioning:
        length = self._config.dataset.max_tokens
        if not self._config.compat.pad_captions:
            length = self._on.length(captions, length)
        with self._drawer.autocast():
            return self._on.encode_text(captions, length)


def paired(measurement: Measurement, other: Measurement) -> dict[str, Estimate]:
    """Return by metric how much more one measurement has than another, picture by picture of the same prompt and seed.

    Args:
        measurement: of one set of weights.
        other: of another one, on the same requests; the triggers in the prompts may differ.

    Returns:
        The differences, with intervals over prompts and seeds, of metrics that give every picture a score.
    """
    theirs = {(one.metric, one.model): one.figures.scores for one in other.readings}
    found: dict[str, Estimate] = {}
    evidence = Evidence(measurement.samples, (), References())
    for reading in measurement.readings:
        own, scores = reading.figures.scores, theirs.get((reading.metric, reading.model), {})
        if reading.first and own and own.keys() == scores.keys():
            found[reading.metric] = difference(evidence.table(own), evidence.table(scores))
    return found
