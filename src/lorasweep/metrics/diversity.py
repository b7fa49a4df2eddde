"""Diversity: how much the samples of one prompt differ.

The mean of one minus the cosine similarity over all pairs of seeds of a prompt that calls the concept, then over the
prompts. It needs no reference; its scale is the base's own diversity on the same prompts and seeds, which an overfitted
version falls far below. Scores that grow with the number of samples (such as Vendi's) could only be compared at equal
numbers; a mean over pairs is the same at any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, SampleImage
from lorasweep.metrics.figures import Figures, compared_by_prompt
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import CALLED_TWICE

if TYPE_CHECKING:
    from lorasweep.features.model import FeatureModel


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return the mean distance of pairs of called samples of one prompt; None where no prompt has two seeds."""

    def score(samples: Sequence[SampleImage]) -> float:
        features = model.images([each.image for each in samples])
        count = len(samples)
        similarities = features @ features.T
        return float(1 - (similarities.sum() - similarities.trace()) / (count * (count - 1)))

    return compared_by_prompt(evidence, score)


DIVERSITY = ImageMetric(
    direction="maximize",
    label="diversity",
    meaning="how much samples of one prompt differ from seed to seed",
    unit="mean of 1 - cosine similarity, 0 to 2",
    margin=0.047,
    relative=False,
    cost="images",
    sources=("mean pairwise distance; Vendi score, arXiv 2210.02410, for the family",),
    needs=CALLED_TWICE,
    measure=measure,
)
