"""The loss and the noise, as sd-scripts wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lorasweep.export.sd_scripts.about import About, flag, whole

# Kinds of noise; behind each, what says something only where it is on.
NOISE: tuple[tuple[tuple[str, str, Callable[[str], Any]], ...], ...] = (
    (
        ("ss_noise_offset", "loss.noise_offset", float),
        ("ss_noise_offset_random_strength", "loss.noise_offset_random", flag),
        ("ss_adaptive_noise_scale", "loss.adaptive_noise_scale", float),
    ),
    (
        ("ss_multires_noise_iterations", "loss.multires_iterations", whole),
        ("ss_multires_noise_discount", "loss.multires_discount", float),
    ),
    (
        ("ss_ip_noise_gamma", "loss.input_perturbation", float),
        ("ss_ip_noise_gamma_random_strength", "loss.input_perturbation_random", flag),
    ),
)
DISTANCE: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("ss_huber_schedule", "loss.huber_schedule", str),
    ("ss_huber_c", "loss.huber_c", float),
    ("ss_huber_scale", "loss.huber_scale", float),
)


def read_loss(about: About) -> None:
    """Read the distance, the weights of timesteps, the noise and what the base predicts."""
    if kind := about.value("ss_loss_type", str):
        about.settings["loss.type"] = kind
    for theirs, ours, read in DISTANCE:
        if (value := about.value(theirs, read)) is not None and kind in ("huber", "smooth_l1"):
            about.settings[ours] = value  # beside another distance they were written, but not used
    _read_weights(about)
    for kinds in NOISE:
        values = {ours: about.value(theirs, read) for theirs, ours, read in kinds}
        if values[kinds[0][1]]:
            about.settings |= {ours: value for ours, value in values.items() if value is not None}
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
