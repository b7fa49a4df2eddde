"""AdamW with 8-bit state (bitsandbytes); of tensors of fewer than 4,096 elements it stays in 32 bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorasweep.optim.optimizers import adamw
from lorasweep.optim.optimizers.bitsandbytes import optimizers
from lorasweep.optim.optimizers.kind import ADAM, KohyaClass, OptimizerKind, adam_arguments

if TYPE_CHECKING:
    from torch.optim import Optimizer


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return bitsandbytes' AdamW8bit."""
    found: Optimizer = optimizers().AdamW8bit(groups, lr=rate, **arguments)
    return found


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=adam_arguments,
    dotted="bitsandbytes.optim.adamw.AdamW8bit",
    constants=ADAM,
    package="bitsandbytes",
    kohya=dict.fromkeys(("AdamW8bit", "PagedAdamW8bit"), KohyaClass(adamw.KOHYA)),
)
