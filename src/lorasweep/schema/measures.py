"""The metrics that can be an objective: which way is better, what each says, and from when on a difference counts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lorasweep.registry import Registry
from lorasweep.schema.features import Sight
from lorasweep.schema.need import Need

DECIMALS = 4  # of a measure, wherever a person reads it


Cost = Literal["training", "loss", "images", "many images"]
"""What a metric takes: nothing beyond the training; forward passes of the denoiser; sample images, each drawn and seen
by the feature models; hundreds of such images."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is known of one metric; `metrics.metric.Metric` says besides how it is measured.

    Attributes:
        direction: minimize or maximize.
        label: what people read instead of the metric's name.
        meaning: what it says, in a line.
        margin: from which distance on one of two trainings is called better.
        relative: whether the margin is a share of the larger value; else it is in the metric's own unit.
        unit: of its values, with their range.
        cost: what measuring it takes.
        sources: where it is from: papers and the like.
        sees: what of a feature model it needs; None of one that does not look at images.
        descriptive: whether it only describes: too noisy, or too easily misled, to choose a version by.
        needs: what must hold for it to be measured: the override that fulfils it -> the need, as `need.Need` reads it.
        binned: whether each bin of timesteps is measured besides, as `<name>_bin_<i>`.
    """

    direction: str
    label: str
    meaning: str
    margin: float
    relative: bool = True
    unit: str = ""
    cost: Cost = "loss"
    sources: tuple[str, ...] = ()
    sees: Sight | None = None
    descriptive: bool = False
    needs: Mapping[str, str] = field(default_factory=dict)
    binned: bool = False

    def lacks(self, config: object) -> list[str]:
        """Return the overrides without which a run of this config would never measure it."""
        return [cure for cure, need in self.needs.items() if not Need.parse(need).holds(config)]


METRICS: Registry[Measure] = Registry(
    "metric",
    "lorasweep.metrics",
    {
        "val/loss": "lorasweep.metrics.heldout_loss:LOSS",
        "val/loss_ratio": "lorasweep.metrics.heldout_loss:RATIO",
        "image/fidelity": "lorasweep.metrics.fidelity:FIDELITY",
        "image/adherence": "lorasweep.metrics.adherence:ADHERENCE",
        "image/memorisation": "lorasweep.metrics.memorisation:MEMORISATION",
        "image/diversity": "lorasweep.metrics.diversity:DIVERSITY",
        "image/drift": "lorasweep.metrics.drift:DRIFT",
        "image/consistency": "lorasweep.metrics.consistency:CONSISTENCY",
        "image/mmd": "lorasweep.metrics.mmd:MMD",
        "image/kid": "lorasweep.metrics.kid:KID",
        "image/fid": "lorasweep.metrics.fid:FID",
        "train/loss": "lorasweep.metrics.training_loss:LOSS",
        "human": "lorasweep.metrics.human:HUMAN",
    },
)
"""Every metric that can be an objective. A package of a user's own adds names by entry points, `lorasweep.metrics`."""

RENAMED = {"image/clip_image": "image/fidelity", "image/clip_text": "image/adherence"}
"""What metrics were once called; records of that time still hold them."""


VOTED = "human"
"""The objective that people decide, by votes on the trials of a search: no training measures it."""


def measures_of(names: Collection[str]) -> dict[str, Measure]:
    """Return the measures among the names of what was measured, in the order in which people read them.

    Args:
        names: of metrics. Those of a user's own, dotted, count once this process has imported them, and come last;
            what is no metric by itself, such as a bin of timesteps, is left out.
    """
    ordered = [*(name for name in METRICS if name in names), *(name for name in names if name not in METRICS)]
    return {name: found for name in ordered if (found := METRICS.find(name)) is not None}


MARGINS = "no further apart than single trainings that differ in their seed only"
"""What a reader must know of the margins.

They are the distance from the lowest to the highest value of six trainings of `lora=fuzzybear preset=demo` with six
seeds: 3.1% of the held-out loss, 24% of the training loss; of the image metrics, seen by the toy's CLIP in two seeds of
each prompt, what docs/metrics.md has. KID and FID have not been measured so: theirs are guesses.
"""


def verdict(name: str, value: float, other: float, measure: Measure | None = None) -> str:
    """Return what a value is beside another of the same metric: better, worse or same.

    Same is what reads the same at `DECIMALS` decimals and what is closer than the measure's margin: single trainings
    that differ in nothing but their seed come out that far apart.

    Args:
        name: of the metric.
        value: the one that is judged.
        other: the one beside it.
        measure: what is known of it; None looks the name up.

    Returns:
        The word; "" where one of them is not a finite number, or the metric is none that is known.
    """
    if not (math.isfinite(value) and math.isfinite(other)):
        return ""
    measure = measure or METRICS.find(name)
    if measure is None:
        return ""
    scale = max(abs(value), abs(other)) if measure.relative else 1.0
    near = abs(value - other) <= measure.margin * scale
    if near or f"{value:.{DECIMALS}f}" == f"{other:.{DECIMALS}f}":
        return "same"
    return "better" if (value < other) == (measure.direction == "minimize") else "worse"
