"""The data of a version as metrics see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorasweep.features.lazy_image import LazyImage
from lorasweep.metrics.evidence import RealImage, References

if TYPE_CHECKING:
    from lorasweep.data.dataset import Dataset
    from lorasweep.data.seen import SeenImage


def references_of(dataset: Dataset, trigger: str) -> References:
    """Return what samples of a version are held against; nothing is opened yet.

    Args:
        dataset: the version's.
        trigger: `dataset.trigger` of its config.
    """
    heldout, training = _real(dataset.seen(heldout=True)), _real(dataset.seen(heldout=False))
    return References(heldout=heldout, training=training, trigger=trigger)


def _real(images: Sequence[SeenImage]) -> list[RealImage]:
    return [RealImage(LazyImage(each.key, each.open), each.name, each.caption, each.mask) for each in images]
