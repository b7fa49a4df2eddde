"""What sample images are seen with: the feature models behind every metric of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lorasweep.registry import Registry
from lorasweep.schema.option import option

Sight = Literal["images", "texts", "patches"]
"""What feature models see: whole images, texts in the space of these, parts of images."""

FEATURES: Registry[Any] = Registry(
    "feature model",
    "lorasweep.features",
    {
        "toy": "lorasweep.features.clip:TOY",
        "clip_l": "lorasweep.features.clip:CLIP_L",
        "dinov2": "lorasweep.features.dinov2:DINOV2",
        "siglip2": "lorasweep.features.siglip2:SIGLIP2",
    },
)
"""Feature models by their names, each a `features.kind.FeatureKind`. A package of a user's own adds names by entry
points, `lorasweep.features`."""


@dataclass
class FeaturesConfig:
    """What sample images are seen with."""

    models: list[str] = option(
        [],
        "feature models of the image metrics, each a name, a transformers folder or a hub id; the first gives the "
        "figures that versions are compared by; [] measures no images",
        resume="measured",
        measures=("image/",),
        path=True,
        registry=FEATURES,
        needs="sampling.every_epochs",
        brought=True,
    )
