"""CLIP similarities of sample images: to held-out images, and to their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorasweep.console.lines import echo
from lorasweep.families.shipped import CLIP_PATH
from lorasweep.metrics.heldout_loss import HELDOUT
from lorasweep.metrics.metric import Measured, Measuring, Metric, SampledImage
from lorasweep.schema import Config

if TYPE_CHECKING:
    from lorasweep.metrics.clip import Clip


class ClipMeasuring(Measuring):
    """Measures CLIP-I of the samples that call the trigger, and CLIP-T of all samples.

    Args:
        clip: the judge.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip

    def begin(self, measured: Measured) -> None:
        """Encode the held-out images, once for all epochs."""
        images = measured.heldout_images()
        self._references = self._clip.image_features(images) if images else None
        self._trigger = measured.config.dataset.trigger

    def samples(self, samples: Sequence[SampledImage]) -> dict[str, float]:
        """Measure samples against their prompts and, where images are held out, against these."""
        images, texts = [sample.image for sample in samples], [self._text(sample) for sample in samples]
        called = [sample.image for sample in samples if sample.prompt.triggered]
        metrics = {"image/clip_text": self._clip.text_similarity(images, texts)}
        if self._references is not None and called:
            metrics["image/clip_image"] = self._clip.image_similarity(called, self._references)
        return metrics

    def _text(self, sample: SampledImage) -> str:
        """Return the prompt without the trigger, a made-up word that no CLIP knows."""
        text = sample.prompt.text
        return text.replace(self._trigger, "").strip(" ,") if self._trigger else text


def prepare(config: Config) -> Measuring | None:
    """Return what judges samples: the given CLIP, the toy's own on the toy base, else none.

    Raises:
        UserError: what is given is no CLIP.
    """
    if not config.evaluation.clip or not config.sampling.prompts:
        return None
    path = config.evaluation.clip_path or (str(CLIP_PATH) if config.base_model.path is None else None)
    if path is None:
        echo("no CLIP metrics: give a transformers CLIP with evaluation.clip_path=FOLDER_OR_HUB_ID to have them")
        return None
    from lorasweep.metrics.clip import Clip

    return ClipMeasuring(Clip.load(path))


NEEDS = {
    "evaluation.clip=true": "evaluation.clip",
    "evaluation.clip_path=openai/clip-vit-large-patch14": "base_model.path=null or evaluation.clip_path",
    "sampling.every_epochs=1": "sampling.every_epochs",
}
IMAGE = Metric(
    direction="maximize",
    label="CLIP image similarity",
    meaning="how alike samples with the trigger and held-out images look",
    margin=0.054,
    needs={**HELDOUT, **NEEDS},
    prepare=prepare,
)
TEXT = Metric(
    direction="maximize",
    label="CLIP text similarity",
    meaning="how well samples show their prompts, the trigger left out; a subject that is learnt costs some",
    margin=0.077,
    needs=NEEDS,
    prepare=prepare,
)
