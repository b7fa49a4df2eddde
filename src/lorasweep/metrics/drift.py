"""Drift: how far samples that do not call the concept have moved from the base's.

One minus the cosine similarity of each such sample and the base's of the same prompt and seed: what the adapter does
unasked, and what the base forgets. Means hide it, as a few prompts collapse while the others stay (open-world
forgetting, Laria et al. 2024, arXiv 2410.14159): so the worst tenth stands beside it, and the worst prompt is named.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lorasweep.metrics.evidence import Evidence
from lorasweep.metrics.figures import Figures
from lorasweep.metrics.intervals import with_interval
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import SEEN, UNCALLED

if TYPE_CHECKING:
    from lorasweep.features.model import FeatureModel


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return the distance of uncalled samples to the base's; None without such samples, and of the base itself."""
    indices = evidence.uncalled
    if not indices or not evidence.base:
        return None
    here = model.images([evidence.samples[index].image for index in indices])
    base = model.images([evidence.base[index].image for index in indices])
    distances = (1 - (here * base).sum(dim=1)).tolist()
    scores = dict(zip(indices, distances, strict=True))
    value = with_interval(evidence.table(scores))
    tenth = math.ceil(len(distances) / 10)
    by_prompt = {
        text: float(np.mean([scores[i] for i in those])) for text, those in evidence.by_prompt(indices).items()
    }
    worst = max(by_prompt, key=lambda text: by_prompt[text])
    return Figures(
        value=value,
        n=len(indices),
        base=0.0,
        delta=value,
        scores=scores,
        base_scores=dict.fromkeys(indices, 0.0),
        more={"worst": float(np.mean(sorted(distances)[-tenth:]))},
        words=[f"{worst}: moved most, by {by_prompt[worst]:.3f}"],
    )


DRIFT = ImageMetric(
    direction="minimize",
    label="drift",
    meaning="how far samples without the trigger have moved from the base's",
    unit="1 - cosine similarity, 0 to 2",
    margin=0.031,
    relative=False,
    cost="images",
    sources=("open-world forgetting, arXiv 2410.14159",),
    needs={**SEEN, **UNCALLED},
    measure=measure,
)
