"""Consistency: whether every seed shows the concept equally well.

The standard deviation, over the seeds of a prompt, of a sample's similarity to the held-out images, averaged over the
prompts; one minus it, so that more is better. A noisy style hits the concept with one seed and misses it with the next:
its mean fidelity may be good. Diversity is something else: samples may differ in everything but the concept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, SampleImage
from lorasweep.metrics.figures import Figures, compared_by_prompt
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import CALLED_TWICE, HELDOUT

if TYPE_CHECKING:
    from lorasweep.features.model import FeatureModel


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return one minus the spread of similarities to held-out images; None without these, or two seeds of a prompt."""
    heldout = evidence.references.heldout
    if not heldout:
        return None
    references = model.images([each.image for each in heldout])

    def score(samples: Sequence[SampleImage]) -> float:
        similarities = (model.images([each.image for each in samples]) @ references.T).mean(dim=1)
        return float(1 - similarities.std())

    return compared_by_prompt(evidence, score)


CONSISTENCY = ImageMetric(
    direction="maximize",
    label="consistency",
    meaning="whether every seed shows the concept equally well",
    unit="1 - standard deviation of cosine similarities, up to 1",
    margin=0.033,
    relative=False,
    cost="images",
    sources=("spread of DreamBooth's image similarity, arXiv 2208.12242, over seeds",),
    needs={**CALLED_TWICE, **HELDOUT},
    measure=measure,
)
