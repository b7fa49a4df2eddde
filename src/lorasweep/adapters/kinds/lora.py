"""LoRA, with DoRA and rank-stabilised scaling."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lorasweep.adapters.kinds.kind import STABILISED, AdapterKind
from lorasweep.schema import NetworkConfig

ENDS = {"lora_A": ".lora_down.weight", "lora_B": ".lora_up.weight", "dora_scale": ".dora_scale"}


def build(*args: Any, **options: Any) -> Any:
    """Put a LoRA on a base."""
    from lorasweep.adapters.lora import LoraAdapter

    return LoraAdapter(*args, **options)


def optional(parameter: str, network: NetworkConfig) -> bool:
    """Return whether a LoRA of these settings has a parameter: lengths of columns come with DoRA."""
    return parameter != "dora_scale" or network.dora


def missing(ends: Collection[str], network: NetworkConfig) -> str:
    """Return what a layer must have, if it lacks any of it."""
    needed = [end for parameter, end in ENDS.items() if optional(parameter, network)]
    return " or ".join(end[1:] for end in needed) if any(end not in ends for end in needed) else ""


def arguments(network: NetworkConfig) -> Mapping[str, Any]:
    """Return what LyCORIS calls its options."""
    return {
        "rs_lora": network.rslora or None,
        "dora_wd": network.dora or None,
        "wd_on_output": False if network.dora else None,
    }


ADAPTER = AdapterKind(
    build=build,
    prefix="lora_",
    title="LoRA in kohya's format",
    ends=ENDS,
    unused_ends=(".lora_mid.weight",),
    ranked=(".lora_down.weight",),
    missing=missing,
    optional=optional,
    has_lycoris_module=lambda network: network.dora or network.rslora,
    arguments=arguments,
    flags=STABILISED,
    quantizations=("int8", "nf4"),
    uniform_alpha=True,
)
