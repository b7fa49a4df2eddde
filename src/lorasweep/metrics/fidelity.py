"""Fidelity: how alike samples that call the concept and held-out images of it look.

The image similarity of DreamBooth (Ruiz et al. 2023, section 4.1: CLIP-I and DINO): the mean cosine similarity of all
pairs of a sample and a reference. The references are images that were not trained on: a version that draws its
training images again would otherwise come out best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, SampleImage
from lorasweep.metrics.figures import Figures, compared
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import HELDOUT, SEEN

if TYPE_CHECKING:
    from lorasweep.features.model import FeatureModel


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return the mean similarity of called samples to held-out images; None where there are none of either."""
    heldout = evidence.references.heldout
    if not heldout or not evidence.called:
        return None
    references = model.images([each.image for each in heldout])

    def score(samples: Sequence[SampleImage]) -> list[float]:
        features = model.images([each.image for each in samples])
        return (features @ references.T).mean(dim=1).tolist()

    return compared(evidence, evidence.called, score)


FIDELITY = ImageMetric(
    direction="maximize",
    label="fidelity",
    meaning="how alike samples of the concept and held-out images look",
    unit="cosine similarity, -1 to 1",
    margin=0.054,
    cost="images",
    sources=("DreamBooth, arXiv 2208.12242, section 4.1",),
    needs={**HELDOUT, **SEEN},
    measure=measure,
)
