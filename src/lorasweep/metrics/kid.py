"""KID: the distance of hundreds of samples to the data, unbiased.

The kernel distance of Binkowski et al. 2018 (arXiv 1801.01401): the unbiased squared MMD with a cubic kernel, here
(cos(x, y) + 1)^3 of the feature model's features in place of Inception's, over all images at once. Of synthetic
features it found a shift at four standard deviations with 200 images a side, at less than one with 42: with fewer than
`ENOUGH` it is not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.metrics.distances import set_distance
from lorasweep.metrics.evidence import Evidence
from lorasweep.metrics.figures import Figures
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import SEEN

if TYPE_CHECKING:
    from torch import Tensor

    from lorasweep.features.model import FeatureModel

ENOUGH = 200  # images on both sides


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return the kernel distance of called samples to the data; None with fewer than `ENOUGH` of either."""
    return set_distance(evidence, model, kernel_distance, ENOUGH)


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Return the kernel distance of two sets of features.

    Args:
        first: (M, dim) unit length, M of at least 2.
        second: (N, dim) unit length, N of at least 2.
    """

    def within(features: Tensor) -> Tensor:
        kernel, count = _kernel(features, features), len(features)
        return (kernel.sum() - kernel.trace()) / (count * (count - 1))

    return float(within(first) + within(second) - 2 * _kernel(first, second).mean())


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first.double() @ second.double().T + 1) ** 3


KID = ImageMetric(
    direction="minimize",
    label="KID",
    meaning="how far hundreds of samples of the concept, as a set, are from the data",
    unit="squared maximum mean discrepancy, about 0 for the same distribution",
    margin=0.05,
    cost="many images",
    sources=("Binkowski et al. 2018, arXiv 1801.01401",),
    descriptive=True,
    needs=SEEN,
    measure=measure,
)
