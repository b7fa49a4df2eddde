"""The base model, without loading it."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep import weights
from lorasweep.checks.wording import inert
from lorasweep.errors import Problem
from lorasweep.schema import Config


def _base_model(config: Config) -> Iterator[Problem]:
    base = config.base_model
    if base.path is not None:
        problems = weights.base_problems(base.path, own_vae=base.vae_path is None)
        yield from (Problem(f"base_model.path={base.path}: {problem}", "base_model.path") for problem in problems)
    if base.vae_path is not None:
        problems = weights.vae_problems(base.vae_path)
        yield from (Problem(f"base_model.vae_path={base.vae_path}: {text}", "base_model.vae_path") for text in problems)
    if weights.is_single_file(base.path):
        yield from _single_file(config)
    elif base.config_path is not None:
        yield inert(
            config, "base_model.config_path", "unless base_model.path is a single file: take it away", "base_model.path"
        )


def _single_file(config: Config) -> Iterator[Problem]:
    base = config.base_model
    if base.config_path is not None:
        given = f"base_model.config_path={base.config_path}"
        problems = weights.config_problems(base.config_path)
        yield from (Problem(f"{given}: {text}", "base_model.config_path") for text in problems)
    if base.variant is not None:
        yield inert(
            config,
            "base_model.variant",
            "with a single file, which has its weights once: take it away",
            "base_model.path",
        )
    marks = weights.marks_of(base.path) if base.path is not None else set()
    if weights.V_PREDICTION in marks and base.prediction_type != "v_prediction":
        yield Problem(
            f"base_model.prediction_type={base.prediction_type}: {base.path} is marked as predicting velocities; set "
            "base_model.prediction_type=v_prediction",
            "base_model.prediction_type",
        )
    if weights.ZERO_TERMINAL_SNR in marks and not base.zero_terminal_snr:
        yield Problem(
            f"base_model.zero_terminal_snr=false: {base.path} is marked as trained with a schedule that ends in pure "
            "noise; set base_model.zero_terminal_snr=true",
            "base_model.zero_terminal_snr",
        )


def _resolution(config: Config) -> Iterator[Problem]:
    base = config.base_model
    native = weights.native_resolution(base) if base.path is not None else None
    if native is not None and native >= 4 * base.resolution:
        yield Problem(
            f"base_model.resolution={base.resolution}: {base.path} is made for {native} pixels; add "
            f"base_model=sdxl, whose sizes suit it, or set base_model.resolution={native}",
            "base_model.resolution",
            "base_model.path",
        )


def _noise_schedule(config: Config) -> Iterator[Problem]:
    if config.base_model.zero_terminal_snr and config.base_model.prediction_type == "epsilon":
        yield Problem(
            "base_model.zero_terminal_snr=true: in pure noise, predicting the noise (epsilon) teaches nothing and says "
            "nothing of the image; set base_model.prediction_type=v_prediction if the base is one, else take it away",
            "base_model.zero_terminal_snr",
            "base_model.prediction_type",
        )


def _quantization(config: Config) -> Iterator[Problem]:
    kind, network = config.base_model.quantization, config.network
    if kind is None or kind in network.quantizations:
        return
    given = "network.dora=true" if network.dora else f"network.type={network.type}"
    cure = (
        f"set base_model.quantization={network.quantizations[0]}" if network.quantizations else "take one of them away"
    )
    yield Problem(
        f"base_model.quantization={kind} with {given}: it needs the base's own weights, which are packed; {cure}",
        "base_model.quantization",
        "network.type",
    )


RULES = (_base_model, _resolution, _noise_schedule, _quantization)
