"""What a metric is: what is known of it, and what measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorasweep.schema import Config
from lorasweep.schema.measures import METRICS, Measure

if TYPE_CHECKING:
    from PIL import Image

    from lorasweep.data.batch import HeldoutImage
    from lorasweep.families.base import Base
    from lorasweep.metrics.heldout import Embed, Predict
    from lorasweep.pictures.prompts import Prompt


@dataclass(frozen=True)
class Measured:
    """What a version offers to be measured on.

    Attributes:
        config: the version's.
        base: the model that it adapts.
        predict: the denoiser as it is at this moment, as `HeldoutLoss` takes it.
        embed: the text encoders as they are at this moment, as `HeldoutLoss` takes them.
        heldout: returns the held-out images as the model sees them, with captions; none may be held out.
        heldout_images: returns them as pictures.
    """

    config: Config
    base: Base
    predict: Predict
    embed: Embed
    heldout: Callable[[], Sequence[HeldoutImage]]
    heldout_images: Callable[[], Sequence[Image.Image]]


@dataclass(frozen=True)
class SampledImage:
    """A sample image.

    Attributes:
        image: as it was drawn.
        prompt: what it was drawn of.
    """

    image: Image.Image
    prompt: Prompt


class Measuring:
    """Measures one version: the model, its sample images, or both. Each method returns values by the metrics' names."""

    def begin(self, measured: Measured) -> None:
        """Take what is measured; called once, before all else."""

    def base(self) -> dict[str, float]:
        """Measure the bare base: no adapter takes part. Called before the first `model`."""
        return {}

    def model(self) -> dict[str, float]:
        """Measure the model as it is after an epoch."""
        return {}

    def samples(self, samples: Sequence[SampledImage]) -> dict[str, float]:
        """Measure the samples of an epoch, or of the bare base; one for each prompt and seed."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Metric(Measure):
    """A metric, and what measures it.

    Attributes:
        prepare: returns what measures it (several may share one), with all loaded that could refuse the config; None
            where the config switches it off. None of a metric that the training itself measures.
    """

    prepare: Callable[[Config], Measuring | None] | None = None


def prepared(config: Config) -> list[Measuring]:
    """Return what measures a version of this config: all known metrics, and those of the user's own that it names.

    Args:
        config: a checked one.

    Raises:
        UserError: something that measures cannot be loaded.
    """
    named = [config.objective, *config.further_objectives, config.evaluation.select_by or ""]
    metrics = [METRICS[name] for name in METRICS]
    metrics += [
        found for name in named if name and name not in METRICS and (found := METRICS.find(name, config.allow_code))
    ]
    makers = dict.fromkeys(metric.prepare for metric in metrics if isinstance(metric, Metric) and metric.prepare)
    return [measuring for prepare in makers if (measuring := prepare(config)) is not None]
