"""The base model, without loading it."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep import weights
from lorasweep.checks.wording import inert
from lorasweep.config import Config


def _base_model(config: Config) -> Iterator[str]:
    base = config.base_model
    if base.path is not None:
        problems = weights.base_problems(base.path, own_vae=base.vae_path is None)
        yield from (f"base_model.path={base.path}: {problem}" for problem in problems)
    if base.vae_path is not None:
        yield from (
            f"base_model.vae_path={base.vae_path}: {problem}" for problem in weights.vae_problems(base.vae_path)
        )
    if weights.is_single_file(base.path):
        yield from _single_file(config)
    elif base.config_path is not None:
        yield inert(config, "base_model.config_path", "unless base_model.path is a single file: take it away")


def _single_file(config: Config) -> Iterator[str]:
    base = config.base_model
    if base.config_path is not None:
        given = f"base_model.config_path={base.config_path}"
        yield from (f"{given}: {problem}" for problem in weights.config_problems(base.config_path))
    if base.variant is not None:
        yield inert(config, "base_model.variant", "with a single file, which has its weights once: take it away")
    marks = weights.marks_of(base.path) if base.path is not None else set()
    if weights.V_PREDICTION in marks and base.prediction_type != "v_prediction":
        yield (
            f"base_model.prediction_type={base.prediction_type}: {base.path} is marked as predicting velocities; set "
            "base_model.prediction_type=v_prediction"
        )
    if weights.ZERO_TERMINAL_SNR in marks and not base.zero_terminal_snr:
        yield (
            f"base_model.zero_terminal_snr=false: {base.path} is marked as trained with a schedule that ends in pure "
            "noise; set base_model.zero_terminal_snr=true"
        )


def _resolution(config: Config) -> Iterator[str]:
    base = config.base_model
    native = weights.native_resolution(base) if base.path is not None else None
    if native is not None and native >= 4 * base.resolution:
        yield (
            f"base_model.resolution={base.resolution}: {base.path} is made for {native} pixels; add "
            f"base_model=sdxl, whose sizes suit it, or set base_model.resolution={native}"
        )


def _noise_schedule(config: Config) -> Iterator[str]:
    if config.base_model.zero_terminal_snr and config.base_model.prediction_type == "epsilon":
        yield (
            "base_model.zero_terminal_snr=true: in pure noise, predicting the noise (epsilon) teaches nothing and says "
            "nothing of the image; set base_model.prediction_type=v_prediction if the base is one, else take it away"
        )


def _quantization(config: Config) -> Iterator[str]:
    kind, network = config.base_model.quantization, config.network
    if kind is None or kind in network.quantizations:
        return
    given = "network.dora=true" if network.dora else f"network.type={network.type}"
    cure = (
        f"set base_model.quantization={network.quantizations[0]}" if network.quantizations else "take one of them away"
    )
    yield (f"base_model.quantization={kind} with {given}: it needs the base's own weights, which are packed; {cure}")


RULES = (_base_model, _resolution, _noise_schedule, _quantization)
