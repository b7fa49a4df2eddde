"""What is minimised."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.errors import Problem
from lorasweep.families.known import family_of
from lorasweep.schema import Config


def _weights(config: Config) -> Iterator[Problem]:
    loss = config.loss
    if loss.debiased and loss.min_snr_gamma is not None:
        yield Problem(
            f"loss.debiased=true and loss.min_snr_gamma={loss.min_snr_gamma:g} both weigh the timesteps, each in "
            "the other's place: set loss.debiased=false or loss.min_snr_gamma=null",
            "loss.debiased",
            "loss.min_snr_gamma",
        )


def _noise(config: Config) -> Iterator[Problem]:
    loss = config.loss
    if loss.min_timestep >= loss.max_timestep:
        expected = f"expected less than loss.max_timestep={loss.max_timestep}"
        yield Problem(f"loss.min_timestep={loss.min_timestep}: {expected}", "loss.min_timestep", "loss.max_timestep")
    family = family_of(config.base_model)
    if loss.max_timestep > family.timesteps:
        yield Problem(
            f"loss.max_timestep={loss.max_timestep}: expected at most the {family.timesteps} of {family.title}",
            "loss.max_timestep",
            "base_model.family",
        )


def _preservation(config: Config) -> Iterator[Problem]:
    given, trigger = config.loss.preservation_class.strip(), config.dataset.trigger
    if not given:
        return
    if not trigger:
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


RULES = (_weights, _noise, _preservation)
