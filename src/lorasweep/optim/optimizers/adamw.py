"""AdamW with 32-bit state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorasweep.optim.optimizers.kind import ADAM, KohyaClass, OptimizerKind, adam_arguments

if TYPE_CHECKING:
    from torch.optim import Optimizer

KOHYA = {"weight_decay": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return torch's AdamW, fused: one kernel for all tensors, on a CPU four times as fast for an adapter's many."""
    from torch.optim import AdamW

    return AdamW(groups, lr=rate, **arguments, fused=True)


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=adam_arguments,
    dotted="torch.optim.adamw.AdamW",
    constants=ADAM,
    smaller="adamw8bit",
    # Paging moves memory, not numbers.
    kohya=dict.fromkeys(("AdamW", "PagedAdamW", "PagedAdamW32bit"), KohyaClass(KOHYA))
    | dict.fromkeys(
        ("Adam", "RAdam", "NAdam", "StableAdamW", "AdEMAMix", "AdEMAMix8bit", "PagedAdEMAMix8bit"),
        KohyaClass(KOHYA, differs="of the same kin, with rates of the same size"),
    ),
)
