"""LoKr: a Kronecker product (LyCORIS)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lorasweep.adapters.kinds.kind import STABILISED, AdapterKind
from lorasweep.schema import NetworkConfig

PARAMETERS = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")


def build(*args: Any, **options: Any) -> Any:
    """Put a LoKr on a base."""
    from lorasweep.adapters.lokr import LokrAdapter

    return LokrAdapter(*args, **options)


def missing(ends: Collection[str], network: NetworkConfig) -> str:
    """Return which factors a layer lacks, whole and as products."""
    return ", ".join(
        factor
        for factor in ("lokr_w1", "lokr_w2")
        if f".{factor}" not in ends and not {f".{factor}_a", f".{factor}_b"} <= set(ends)
    )


def arguments(network: NetworkConfig) -> Mapping[str, Any]:
    """Return what LyCORIS calls its options."""
    return {
        "factor": network.factor,
        "decompose_both": network.decompose_both or None,
        "rs_lora": network.rslora or None,
    }


ADAPTER = AdapterKind(
    build=build,
    prefix="lokr_",
    title="LoKr in LyCORIS' format",
    ends={name: f".{name}" for name in PARAMETERS},
    unused_ends=(".lokr_t1", ".lokr_t2"),
    ranked=(".lokr_w2_b", ".lokr_w1_b"),
    missing=missing,
    arguments=arguments,
    flags={**STABILISED, "decompose_both": "network.decompose_both"},
    integers={"factor": "network.factor"},
    quantizations=("int8",),  # PEFT's layers need the weights' shape, which 4-bit weights do not keep
)
