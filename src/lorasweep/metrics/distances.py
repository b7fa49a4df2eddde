"""What the distances between large sets of images have in common: enough of both, and the base beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, SampleImage
from lorasweep.metrics.figures import Figures
from lorasweep.metrics.intervals import Estimate

if TYPE_CHECKING:
    from torch import Tensor

    from lorasweep.features.model import FeatureModel


def set_distance(
    evidence: Evidence, model: FeatureModel, distance: Callable[[Tensor, Tensor], float], enough: int
) -> Figures | None:
    """Return the distance of called samples to the data, and the base's.

    The data is all of it, what was trained on too: a distribution is not known by a tenth of its images. So copies
    score well, which `image/memorisation` is there to tell.

    Args:
        evidence: what is measured.
        model: sees the images.
        distance: of two sets of features, (M, dim) and (N, dim).
        enough: images on both sides from which on the distance means something; None is returned with fewer.
    """
    references = [*evidence.references.training, *evidence.references.heldout]
    count = len(evidence.called)
    if min(count, len(references)) < enough:
        return None
    data = model.images([each.image for each in references])

    def of(samples: Sequence[SampleImage]) -> float:
        return distance(model.images([samples[index].image for index in evidence.called]), data)

    value = of(evidence.samples)
    base = of(evidence.base) if evidence.base else None
    return Figures(
        value=Estimate(value),
        n=count,
        base=base,
        delta=None if base is None else Estimate(value - base),
        more={"images": float(len(references))},
        words=[f"of {count} samples and {len(references)} images: not to be compared at other numbers"],
    )
