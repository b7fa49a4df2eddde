"""How many steps a training takes, for tests that compare recipes and pages with what they say."""

from __future__ import annotations

from lorasweep.data.plan import Plan


def steps_of(images: int, repeats: int, batch_size: int, epochs: int, *, round_each_epoch: bool = False) -> int:
    """The optimizer steps of a training whose images all have one shape."""
    bucket = dict.fromkeys(range(images), repeats)
    return Plan([bucket], batch_size, 1, epochs, None, 0, round_each_epoch=round_each_epoch).total_steps
