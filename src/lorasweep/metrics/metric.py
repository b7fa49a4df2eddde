"""What a metric is: what is known of it, and what measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorasweep.schema import Config
from lorasweep.schema.features import Sight
from lorasweep.schema.measures import Measure

if TYPE_CHECKING:
    from lorasweep.data.batch import HeldoutImage
    from lorasweep.families.base import Base
    from lorasweep.features.model import FeatureModel
    from lorasweep.metrics.evidence import Evidence, References, SampleImage
    from lorasweep.metrics.figures import Figures
    from lorasweep.metrics.heldout import Embed, Predict


@dataclass(frozen=True)
class Measured:
    """What a version offers to be measured on.

    Attributes:
        config: the version's.
        base: the model that it adapts.
        predict: the denoiser as it is at this moment, as `HeldoutLoss` takes it.
        embed: the text encoders as they are at this moment, as `HeldoutLoss` takes them.
        heldout: returns the held-out images as the model sees them, with captions; none may be held out.
        references: returns the data as pictures.
    """

    config: Config
    base: Base
    predict: Predict
    embed: Embed
    heldout: Callable[[], Sequence[HeldoutImage]]
    references: Callable[[], References]


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

    def base_samples(self, samples: Sequence[SampleImage]) -> dict[str, float]:
        """Measure the samples of the bare base, one for each prompt and seed. Called before the first `samples`."""
        return {}

    def samples(self, samples: Sequence[SampleImage]) -> dict[str, float]:
        """Measure the samples of an epoch, of the same prompts and seeds in the same order."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Metric(Measure):
    """A metric, and what measures it.

    Attributes:
        prepare: returns what measures it (several may share one), with all loaded that could refuse the config; None
            where the config switches it off. None of an `ImageMetric`, and of one that the training itself measures.
    """

    prepare: Callable[[Config], Measuring | None] | None = None


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric of images, as feature models see them.

    Attributes:
        measure: returns what evidence shows through a feature model; None where it does not suffice, such as without
            held-out images. Everything random in it is fixed.
        sees: what of a feature model it needs.
    """

    measure: Callable[[Evidence, FeatureModel], Figures | None]
    sees: Sight = "images"

    def can_use(self, model: FeatureModel) -> bool:
        """Return whether a feature model sees what this metric needs."""
        return {"images": True, "texts": model.reads_texts, "patches": model.has_patches}[self.sees]
