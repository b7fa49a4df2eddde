"""Lion with 8-bit state (bitsandbytes); of tensors of fewer than 4,096 elements it stays in 32 bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorasweep.optim.optimizers import lion
from lorasweep.optim.optimizers.bitsandbytes import optimizers
from lorasweep.optim.optimizers.kind import LION, KohyaClass, OptimizerKind, lion_arguments

if TYPE_CHECKING:
    from torch.optim import Optimizer


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return bitsandbytes' Lion8bit."""
    found: Optimizer = optimizers().Lion8bit(groups, lr=rate, **arguments)
    return found


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=lion_arguments,
    dotted="bitsandbytes.optim.lion.Lion8bit",
    constants=LION,
    package="bitsandbytes",
    kohya=dict.fromkeys(("Lion8bit", "PagedLion8bit"), KohyaClass(lion.KOHYA)),
)
