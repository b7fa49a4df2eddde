"""LoHa: the elementwise product of two low-rank updates (LyCORIS)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lorasweep.adapters.kinds.kind import STABILISED, AdapterKind
from lorasweep.schema import NetworkConfig

FACTORS = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
CORES = ("hada_t1", "hada_t2")


def build(*args: Any, **options: Any) -> Any:
    """Put a LoHa on a base."""
    from lorasweep.adapters.loha import LohaAdapter

    return LohaAdapter(*args, **options)


def missing(ends: Collection[str], network: NetworkConfig) -> str:
    """Return which factors a layer lacks."""
    return ", ".join(name for name in FACTORS if f".{name}" not in ends)


ADAPTER = AdapterKind(
    build=build,
    prefix="hada_",
    title="LoHa in LyCORIS' format",
    ends={name: f".{name}" for name in (*FACTORS, *CORES)},
    ranked=(".hada_w1_b",),
    missing=missing,
    arguments=lambda network: {"use_tucker": network.tucker or None, "rs_lora": network.rslora or None},
    flags={**STABILISED, "use_tucker": "network.tucker", "use_cp": "network.tucker"},
    quantizations=("int8",),  # PEFT's layers need the weights' shape, which 4-bit weights do not keep
)
