"""What is minimised."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import default, inert
from lorasweep.config import Config, value_at
from lorasweep.errors import Problem


def _distance(config: Config) -> Iterator[Problem]:
    loss = config.loss
    if loss.type in ("l2", "l1"):
        for key in ("loss.huber_schedule", "loss.huber_c", "loss.huber_scale"):
            if value_at(config, key) != default(key):
                because = f"while loss.type is {loss.type}: choose loss=huber or loss=smooth_l1"
                yield inert(config, key, because, "loss.type")
    elif loss.huber_schedule == "snr" and loss.huber_scale != default("loss.huber_scale"):
        because = "with loss.huber_schedule snr: choose constant or exponential"
        yield inert(config, "loss.huber_scale", because, "loss.huber_schedule")
    if loss.debiased and loss.min_snr_gamma is not None:
        yield Problem(
            f"loss.debiased=true and loss.min_snr_gamma={loss.min_snr_gamma:g} both weigh the timesteps, each in "
            "the other's place: set loss.debiased=false or loss.min_snr_gamma=null",
            "loss.debiased",
            "loss.min_snr_gamma",
        )


def _noise(config: Config) -> Iterator[Problem]:
    loss = config.loss
    needs = {
        "loss.noise_offset_random": "loss.noise_offset",
        "loss.adaptive_noise_scale": "loss.noise_offset",
        "loss.multires_discount": "loss.multires_iterations",
        "loss.input_perturbation_random": "loss.input_perturbation",
    }
    for key, needed in needs.items():
        if value_at(config, key) != default(key) and not value_at(config, needed):
            yield inert(config, key, f"without {needed}", needed)
    if loss.min_timestep >= loss.max_timestep:
        expected = f"expected less than loss.max_timestep={loss.max_timestep}"
        yield Problem(f"loss.min_timestep={loss.min_timestep}: {expected}", "loss.min_timestep", "loss.max_timestep")


def _preservation(config: Config) -> Iterator[Problem]:
    given, trigger = config.loss.preservation_class.strip(), config.dataset.trigger
    if not given:
        if config.loss.preservation_weight != default("loss.preservation_weight"):
            because = "without loss.preservation_class, such as person"
            yield inert(config, "loss.preservation_weight", because, "loss.preservation_class")
    elif not trigger:
        yield Problem(
            f"loss.preservation_class={given} takes the place of the trigger, but dataset.trigger is not set: give "
            "the trigger that the captions have",
            "loss.preservation_class",
            "dataset.trigger",
        )
    elif given.lower() == trigger.lower():
        yield Problem(
            f"loss.preservation_class={given} is the trigger itself: give the common word for it, such as person, "
            "or nothing could be learned",
            "loss.preservation_class",
            "dataset.trigger",
        )


RULES = (_distance, _noise, _preservation)
