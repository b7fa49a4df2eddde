"""The base model, without loading it."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import without_effect
from lorasweep.errors import Problem
from lorasweep.families.known import family_of
from lorasweep.families.paths import is_single_file
from lorasweep.schema import Config


def _base_model(config: Config) -> Iterator[Problem]:
    base = config.base_model
    yield from family_of(base).problems(config)
    if base.config_path is not None and not is_single_file(base.path):
        yield without_effect(
            config, "base_model.config_path", "unless base_model.path is a single file: take it away", "base_model.path"
        )
    if base.variant is not None and is_single_file(base.path):
        yield without_effect(
            config,
            "base_model.variant",
            "with a single file, which has its weights once: take it away",
            "base_model.path",
        )


def _resolution(config: Config) -> Iterator[Problem]:
    base, family = config.base_model, family_of(config.base_model)
    native = family.files.native_resolution(base) if base.path is not None else None
    if native is not None and native >= 4 * base.resolution:
        yield Problem(
            f"base_model.resolution={base.resolution}: {base.path} is made for {native} pixels; add "
            f"base_model={family.name}, whose sizes suit it, or set base_model.resolution={native}",
            "base_model.resolution",
            "base_model.path",
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


RULES = (_base_model, _resolution, _quantization)
