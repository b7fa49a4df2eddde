"""FID: the distance of a thousand samples to the data, as the literature has it.

The Fréchet distance of two Gaussians with the means and covariances of the features (Heusel et al. 2017, arXiv
1706.08500), here of the feature model's features of unit length in place of Inception's: it is not to be compared
with published figures. It is biased by the number of images: between two samples of one distribution it fell from 2,304
with 8 images to 848 with 42 and 55 with 1,000 (synthetic features), and so measured their number. With fewer than
`ENOUGH` it is not measured, and the numbers stand beside it.
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

ENOUGH = 1000  # images on both sides


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return the Fréchet distance of called samples to the data; None with fewer than `ENOUGH` of either."""
    return set_distance(evidence, model, frechet_distance, ENOUGH)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets' means and covariances.

    Args:
        first: (M, dim) features, M of at least 2.
        second: (N, dim) features, N of at least 2.
    """
    import torch

    first, second = first.double(), second.double()
    of_first, of_second = torch.cov(first.T), torch.cov(second.T)
    # The trace of the root of a product is the sum of the roots of its eigenvalues, none of which is negative.
    roots = torch.linalg.eigvals(of_first @ of_second).real.clamp(min=0).sqrt().sum()
    means = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    return float(means + of_first.trace() + of_second.trace() - 2 * roots)


FID = ImageMetric(
    direction="minimize",
    label="FID",
    meaning="how far a thousand samples of the concept, as a set, are from the data; depends on the number of images",
    unit="Fréchet distance, 0 for the same distribution",
    margin=0.05,
    cost="many images",
    sources=("Heusel et al. 2017, arXiv 1706.08500",),
    descriptive=True,
    needs=SEEN,
    measure=measure,
)
