"""The loss and the noise, as sd-scripts wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lorasweep.export.sd_scripts.about import About, flag
from lorasweep.schema import schema_keys

APART = ("loss.min_snr_gamma", "loss.debiased", "loss.prior_loss_weight")
"""Keys that are read by rules of their own."""

HUBER = ("huber", "smooth_l1")
DISTANCE: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("ss_huber_schedule", "loss.huber_schedule", str),
    ("ss_huber_c", "loss.huber_c", float),
    ("ss_huber_scale", "loss.huber_scale", float),
)


def read_loss(about: About) -> None:
    """Read the distance, the weights of timesteps, the noise and what the base predicts."""
    for key in schema_keys().values():
        if key.ss and key.name.startswith("loss.") and key.name not in APART:
            value = about.stated(key)
            # What needs another key says something beside it, whatever it says; what needs none, where it is on.
            beside = all(name in about.settings for need in key.needs for name in need.keys)
            if value is not None and (beside if key.needs else value):
                about.settings[key.name] = value
    for theirs, ours, read in DISTANCE:
        if (value := about.value(theirs, read)) is not None and about.settings.get("loss.type") in HUBER:
            about.settings[ours] = value  # beside another distance they were written, but not used
    _read_weights(about)
    if weight := about.value("ss_prior_loss_weight", float):
        about.settings["loss.prior_loss_weight"] = weight
    _read_prediction(about)


def _read_weights(about: About) -> None:
    gamma = about.value("ss_min_snr_gamma", float)  # there 0 is off, here null
    if about.value("ss_debiased_estimation", flag):
        about.settings["loss.debiased"] = True
        if gamma:
            about.notes.append(f"ss_min_snr_gamma={gamma:g} beside ss_debiased_estimation: here it is one of them")
    elif gamma:
        about.settings["loss.min_snr_gamma"] = gamma
    if timesteps := about.value("modelspec.timestep_range", _range):
        about.settings |= {"loss.min_timestep": timesteps[0], "loss.max_timestep": timesteps[1]}


def _read_prediction(about: About) -> None:
    predicts_v = about.value("modelspec.prediction_type", str) == "v"
    if predicts_v:
        about.settings["base_model.prediction_type"] = "v_prediction"
    if about.value("ss_zero_terminal_snr", flag):
        if predicts_v:
            about.settings["base_model.zero_terminal_snr"] = True
        else:
            about.notes.append("ss_zero_terminal_snr=True: here it takes a base that predicts velocities")


def _range(text: str) -> tuple[int, int]:
    """Read "200,800"."""
    first, end = text.split(",")
    return int(first), int(end)
