"""Fidelity: how alike samples that call the concept and held-out images of it look.

The image similarity of DreamBooth (Ruiz et al. 2023, section 4.1: CLIP-I and DINO): the mean cosine similarity of all
pairs of a sample and a reference. The references are images that were not trained on: a version that draws its
training images again would otherwise come out best.

Where held-out images have masks and the model sees patches, `_masked` is the same of the concept alone
(`metrics.masked`). Where images of other concepts are given that could be taken for this one, `_retrieval` is the share
of samples whose nearest real image is one of this concept's (after Finer-Personalization Rank, arXiv 2512.19026): a
mean similarity may be high for every bear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, SampleImage
from lorasweep.metrics.figures import Figures, compared
from lorasweep.metrics.masked import concept_of, concept_similarity
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

    images = [evidence.samples[index].image for index in evidence.called]
    more = {}
    if concept := concept_of(heldout, model):
        more["masked"] = sum(concept_similarity(images, concept, model)) / len(images)
    if others := [each.image for gallery in evidence.references.others.values() for each in gallery]:
        samples, gallery = model.images(images), model.images(others)
        own, other = (samples @ references.T).amax(dim=1), (samples @ gallery.T).amax(dim=1)
        more["retrieval"] = float((own > other).float().mean())
    return replace(compared(evidence, evidence.called, score), more=more)


FIDELITY = ImageMetric(
    direction="maximize",
    label="fidelity",
    meaning="how alike samples of the concept and held-out images look",
    unit="cosine similarity, -1 to 1",
    margin=0.027,
    relative=False,
    cost="images",
    sources=("DreamBooth, arXiv 2208.12242, section 4.1", "MaSC, arXiv 2605.22469", "arXiv 2512.19026"),
    needs={**HELDOUT, **SEEN},
    measure=measure,
)
