"""Which parts of the base a run does not need between one sampling and the next."""

from __future__ import annotations

from lorasweep.families.base import Family
from lorasweep.families.parts import learning_rates
from lorasweep.schema import Config


def idle_parts(config: Config, family: Family) -> tuple[str, ...]:
    """Return the parts that wait in the CPU's memory while a version trains: what it asks of them is cached.

    What encodes images is one. So are all text encoders, unless one of them is trained, or captions are drawn anew at
    each step: they would come and go with every batch.

    Args:
        config: of the version.
        family: of its base.
    """
    if not config.training.offload_idle:
        return ()
    encoders = family.encoders
    trained = any(encoder in learning_rates(family.parts, config.optimizer) for encoder in encoders)
    varied = config.dataset.shuffle_tags or config.dataset.tag_dropout
    return family.image_parts if trained or varied else (*family.image_parts, *encoders)
