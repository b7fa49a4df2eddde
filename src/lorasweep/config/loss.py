"""What is minimised."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.config.option import option


@dataclass
class LossConfig:
    """What is minimised, and the noise it is measured on."""

    type: str = option("l2", "distance between prediction and target", choices=("l2", "huber", "smooth_l1"))
    huber_schedule: str = option(
        "snr", "how huber's threshold follows the timestep", choices=("constant", "exponential", "snr")
    )
    huber_c: float = option(0.1, "huber's threshold", above=0, at_most=1)
    huber_scale: float = option(1.0, "factor on huber_c (constant and exponential schedules)", above=0)
    min_snr_gamma: float | None = option(None, "min-SNR weighting with this gamma; null: off", above=0)
    noise_offset: float = option(0.0, "strength of one extra draw per image and channel", at_least=0)
    prior_loss_weight: float = option(1.0, "weight of regularisation images", at_least=0)
