"""Which parts of the base a training does not need between one sampling and the next."""

from __future__ import annotations

from lorasweep.optim.rates import learning_rates
from lorasweep.schema import Config

ENCODERS = ("text_encoder", "text_encoder_2")


def idle_parts(config: Config) -> tuple[str, ...]:
    """Return the parts that rest in the CPU's memory while a version trains: what it asks of them is cached.

    The VAE is one. So are both text encoders, unless one of them is trained, or captions are drawn anew at each step:
    they would come and go with every batch.
    """
    if not config.training.offload_idle:
        return ()
    trained = learning_rates(config.optimizer).keys() & ENCODERS
    drawn = config.dataset.shuffle_tags or config.dataset.tag_dropout
    return ("vae",) if trained or drawn else ("vae", *ENCODERS)
