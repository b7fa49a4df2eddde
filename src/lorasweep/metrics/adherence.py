"""Adherence: how well samples show their prompts.

The text similarity of DreamBooth (Ruiz et al. 2023, section 4.1: CLIP-T; after CLIPScore, Hessel et al. 2021): the
cosine similarity of an image and its prompt. The trigger is left out of the prompt, a made-up word that no text encoder
knows. Only prompts that no caption holds count: of a caption, a version that draws its training images again would show
everything.

Where real images have masks and the model sees patches, `_background` is the same with the concept painted over
(`metrics.masked`). Captions that are lists of tags are no sentences, which text encoders read badly: with a tagger,
`_tags` is the share of a prompt's tags that it finds in the sample.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lorasweep.metrics.evidence import Evidence, References, SampleImage
from lorasweep.metrics.figures import Figures, compared
from lorasweep.metrics.masked import backgrounds, concept_of
from lorasweep.metrics.metric import ImageMetric
from lorasweep.metrics.needs import SEEN

if TYPE_CHECKING:
    from lorasweep.features.model import FeatureModel


def measure(evidence: Evidence, model: FeatureModel) -> Figures | None:
    """Return the mean similarity of called samples and their prompts; None without prompts that no caption holds."""
    references = evidence.references
    known = {_plain(image.caption, references.trigger) for image in references.training}
    new = [index for index in evidence.called if not _in_captions(evidence.samples[index], known, references)]
    if not new:
        return None

    def score(samples: Sequence[SampleImage]) -> list[float]:
        texts = model.texts([_text(each, references.trigger) for each in samples])
        return (model.images([each.image for each in samples]) * texts).sum(dim=1).tolist()

    figures, more = compared(evidence, new, score), {}
    samples = [evidence.samples[index] for index in new]
    if concept := concept_of([*references.training, *references.heldout], model):
        images = backgrounds([each.image for each in samples], concept, model)
        texts = model.texts([_text(each, references.trigger) for each in samples])
        more["background"] = float((model.images(images) * texts).sum(dim=1).mean())
    if references.tagger is not None:
        found = references.tagger([each.image for each in samples])
        wanted = [set(_tags(_text(each, references.trigger))) for each in samples]
        more["tags"] = sum(len(tags & seen) / len(tags) for tags, seen in zip(wanted, found, strict=True)) / len(new)
    words = (
        [f"{len(evidence.called) - len(new)} samples are left out: captions hold their prompts"]
        if len(new) < len(evidence.called)
        else []
    )
    return replace(figures, more=more, words=words)


def _text(sample: SampleImage, trigger: str) -> str:
    """Return what a sample should show, without the word that only the version knows."""
    text = sample.prompt.text
    return text.replace(trigger, "").strip(" ,") if trigger else text


def _tags(text: str) -> list[str]:
    return [tag.strip().lower() for tag in text.split(",") if tag.strip()] or [text]


def _in_captions(sample: SampleImage, captions: set[str], references: References) -> bool:
    """Return whether a caption says all that a prompt does, in the same words and order."""
    wanted = _plain(sample.prompt.text, references.trigger)
    return any(wanted in caption for caption in captions)


def _plain(text: str, trigger: str) -> str:
    """Return the words of a text without the trigger, so that two of them can be compared."""
    words = text.replace(trigger, " ") if trigger else text
    return " " + " ".join(re.findall(r"\w+", words.lower())) + " "


ADHERENCE = ImageMetric(
    direction="maximize",
    label="adherence",
    meaning="how well samples show their prompts, the trigger left out; a subject that is learnt costs some",
    unit="cosine similarity, -1 to 1",
    margin=0.027,
    relative=False,
    cost="images",
    sources=("DreamBooth, arXiv 2208.12242, section 4.1", "CLIPScore, arXiv 2104.08718"),
    needs=SEEN,
    measure=measure,
    sees="texts",
)
