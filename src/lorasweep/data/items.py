"""An image as it takes part in a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorasweep.data.buckets import Placement
from lorasweep.data.faults import Fault
from lorasweep.data.folder import Sample
from lorasweep.data.foreign import Unused
from lorasweep.data.masks import Mask


@dataclass(frozen=True)
class Item:
    """One image as it takes part in a run.

    Args:
        sample: what is on disk.
        caption: the full caption (prefix and suffix included), before any draw.
        placement: how it fills its bucket.
        mask: which of its pixels count; None: all of them.
        tokens: how many the caption has.
        kept: the part of the caption that the text encoders are given: its first `dataset.max_tokens` tokens.
    """

    sample: Sample
    caption: str
    placement: Placement
    mask: Mask | None = None
    tokens: int = 0
    kept: str = ""


@dataclass
class Gathered:
    """All that the folders of a run hold.

    Attributes:
        images: the items of `dataset.path`. validation, regularisation: those of these folders.
        skipped: faults of files that were left out because of `dataset.on_bad_file=skip`.
        unused: files that are neither image, caption nor mask.
    """

    images: list[Item] = field(default_factory=list)
    validation: list[Item] = field(default_factory=list)
    regularisation: list[Item] = field(default_factory=list)
    skipped: list[Fault] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
