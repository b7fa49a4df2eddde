"""The metrics that can be an objective: which way is better, what each says, and from when on a difference counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

DECIMALS = 4  # of a measure, wherever a person reads it


@dataclass(frozen=True)
class Measure:
    """What is known of one metric.

    Attributes:
        direction: minimize or maximize.
        label: what people read instead of the metric's name.
        meaning: what it says, in a line.
        margin: from which distance on, as a share of the larger value, one of two trainings is called better.
    """

    direction: str
    label: str
    meaning: str
    margin: float


MEASURES = {
    "val/loss": Measure("minimize", "held-out loss", "error on images that were not trained on", 0.031),
    "val/loss_ratio": Measure("minimize", "held-out loss / base", "the same error, the base's being 1", 0.031),
    "image/clip_image": Measure(
        "maximize", "CLIP image similarity", "how alike samples with the trigger and held-out images look", 0.054
    ),
    "image/clip_text": Measure(
        "maximize",
        "CLIP text similarity",
        "how well samples show their prompts, the trigger left out; a subject that is learnt costs some",
        0.077,
    ),
    "train/loss": Measure("minimize", "training loss", "error on the training images", 0.25),
}

MARGINS = "no further apart than single trainings that differ in their seed only"
"""What a reader must know of the margins.

They are the distance from the lowest to the highest value of six trainings of `lora=fuzzybear preset=demo` with six
seeds: 3.1% of the held-out loss, 5.3% and 7.7% of the similarities (of 3 samples), 24% of the training loss.
"""


def verdict(name: str, value: float, other: float) -> str:
    """Return what a value is beside another of the same metric: better, worse or same.

    Same is what reads the same at `DECIMALS` decimals and what is closer than the measure's margin: single trainings
    that differ in nothing but their seed come out that far apart.

    Args:
        name: of the metric, a key of `MEASURES`.
        value: the one that is judged.
        other: the one beside it.

    Returns:
        The word; "" where one of them is not a finite number.
    """
    if not (math.isfinite(value) and math.isfinite(other)):
        return ""
    measure = MEASURES[name]
    near = abs(value - other) <= measure.margin * max(abs(value), abs(other))
    if near or f"{value:.{DECIMALS}f}" == f"{other:.{DECIMALS}f}":
        return "same"
    return "better" if (value < other) == (measure.direction == "minimize") else "worse"
