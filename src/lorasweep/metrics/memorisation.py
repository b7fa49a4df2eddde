"""Memorisation: whether samples are nearer to training images than these are to each other.

Each sample's similarity to its nearest training image, mirrored ones included, less what is usual: the mean similarity
of a training image to its nearest other one (leave-one-out), which calibrates the figure for every set and every model.
Below 0 nothing speaks of copies; an exact copy has 1 less the usual.

From `ENOUGH` training images on, the share of samples above the greatest leave-one-out similarity stands beside it; in
a smaller set that share is mostly chance, and the mean tells honest samples from copies far better. No such figure
tells copies from a mode that has shrunk (Stein et al. 2023, arXiv 2306.04675), so it is to be read with
`image/diversity`. A training image that most samples are nearest to, though there are many others, is named: a copy's
source, or a picture that everything is drawn to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, RealImage, SampleImage
from lorasweep.metrics.figures import Figures, compared
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import SEEN

if TYPE_CHECKING:
    from torch import Tensor

    from lorasweep.features.model import FeatureModel

ENOUGH = 27
"""Training images. Of synthetic features, 30% of copies moved the share above the greatest leave-one-out similarity
from .21 (sd .20) to .44 (.13) with 8 images, from .06 (.06) to .34 (.05) with 27."""

MOST = 0.5  # of the samples that have one nearest training image: it is then named


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return how much nearer than usual called samples are to training images; None with fewer than two of these."""
    training = evidence.references.training
    if len(training) < 2 or not evidence.called:
        return None
    both = _with_mirrored(training, model)
    usual = _to_nearest_other(both)

    def score(samples: Sequence[SampleImage]) -> list[float]:
        return (_nearest(samples, both, model).amax(dim=1) - usual.mean()).tolist()

    figures = compared(evidence, evidence.called, score)
    similarities = _nearest([evidence.samples[index] for index in evidence.called], both, model)
    most, count = Counter(similarities.argmax(dim=1).tolist()).most_common(1)[0]
    share = count / len(evidence.called)
    more = {}
    if len(training) >= ENOUGH:
        more["share"] = float((similarities.amax(dim=1) > usual.max()).float().mean())
    words = []
    if share > MOST and len(evidence.called) > 2:
        words.append(f"{training[most].name} is the nearest training image of {share:.0%} of the samples")
    return replace(figures, more=more, words=words)


def _with_mirrored(training: Sequence[RealImage], model: FeatureModel) -> Tensor:
    """Return the features (2, N, dim) of training images and of their mirror images."""
    import torch

    images = [each.image for each in training]
    return torch.stack([model.images(images), model.images([image.mirrored() for image in images])])


def _to_nearest_other(both: Tensor) -> Tensor:
    """Return the similarity (N,) of each training image to the nearest other one, mirrored or not."""
    similarities = (both @ both[0].T).amax(dim=0)
    similarities.fill_diagonal_(-1)
    return similarities.amax(dim=0)


def _nearest(samples: Sequence[SampleImage], both: Tensor, model: FeatureModel) -> Tensor:
    """Return the similarity (samples, N) of samples to training images, mirrored or not, whichever is more."""
    return (model.images([each.image for each in samples]) @ both.transpose(1, 2)).amax(dim=0)


MEMORISATION = ImageMetric(
    direction="minimize",
    label="memorisation",
    meaning="how much nearer samples are to training images than these are to each other",
    unit="difference of cosine similarities, -2 to 2",
    margin=0.034,
    relative=False,
    cost="images",
    sources=("nearest neighbours by features; Stein et al. 2023, arXiv 2306.04675, for what they cannot tell",),
    needs=SEEN,
    measure=measure,
)
