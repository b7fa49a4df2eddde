"""What sd-scripts' metadata says of noise and loss becomes our keys, and only where it said something there."""

from __future__ import annotations

from typing import Any

import torch

from lorasweep.export.layers import read_layers
from lorasweep.export.sd_scripts import settings_of
from lorasweep.families.sdxl.naming import USUAL

LAYERS = read_layers({"lora_unet_middle_block_1_proj_in.lora_down.weight": torch.zeros(4, 4)}, USUAL)


def read(**metadata: str) -> tuple[dict[str, Any], str]:
    """The settings of loss and base, and the notes."""
    about = settings_of("Bear", {f"ss_{key}": text for key, text in metadata.items()}, LAYERS)
    ours = {key: value for key, value in about.settings.items() if key.startswith(("loss.", "base_model."))}
    return ours, "\n".join(about.notes)


def test_every_kind_of_noise_with_its_companions() -> None:
    found, _ = read(
        noise_offset="0.05",
        noise_offset_random_strength="True",
        adaptive_noise_scale="0.01",
        multires_noise_iterations="6",
        multires_noise_discount="0.4",
        ip_noise_gamma="0.1",
        ip_noise_gamma_random_strength="True",
        debiased_estimation="True",
        loss_type="l1",
    )
    assert found == {
        "loss.noise_offset": 0.05,
        "loss.noise_offset_random": True,
        "loss.adaptive_noise_scale": 0.01,
        "loss.multires_iterations": 6,
        "loss.multires_discount": 0.4,
        "loss.input_perturbation": 0.1,
        "loss.input_perturbation_random": True,
        "loss.debiased": True,
        "loss.type": "l1",
    }


def test_a_companion_of_what_was_off_says_nothing() -> None:
    found, notes = read(
        noise_offset="None",
        noise_offset_random_strength="True",
        adaptive_noise_scale="0.01",
        multires_noise_iterations="0",
        multires_noise_discount="0.0",
        ip_noise_gamma="None",
        ip_noise_gamma_random_strength="True",
        debiased_estimation="False",
        zero_terminal_snr="False",
    )
    assert found == {} and "noise" not in notes and "snr" not in notes


def test_what_excludes_each_other_here_is_noted() -> None:
    found, notes = read(debiased_estimation="True", min_snr_gamma="5.0", zero_terminal_snr="True")
    assert found == {"loss.debiased": True}
    assert "ss_min_snr_gamma=5 beside ss_debiased_estimation" in notes
    assert "ss_zero_terminal_snr=True: here it takes a base that predicts velocities" in notes


def test_zero_terminal_snr_of_a_base_that_predicts_velocities() -> None:
    metadata = {"ss_zero_terminal_snr": "True", "modelspec.prediction_type": "v"}
    settings = settings_of("Bear", metadata, LAYERS).settings
    assert settings["base_model.zero_terminal_snr"] is True
    assert settings["base_model.prediction_type"] == "v_prediction"
