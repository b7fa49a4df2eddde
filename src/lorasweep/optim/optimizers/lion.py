"""Lion: every weight moves by the learning rate, up or down (arXiv 2302.06675)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorasweep.optim.optimizers.bitsandbytes import optimizers
from lorasweep.optim.optimizers.kind import LION, KohyaClass, OptimizerKind, lion_arguments

if TYPE_CHECKING:
    from torch.optim import Optimizer

KOHYA = {"weight_decay": 0.0, "beta1": 0.9, "beta2": 0.99, "eps": None}


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return bitsandbytes' Lion."""
    found: Optimizer = optimizers().Lion(groups, lr=rate, **arguments)
    return found


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=lion_arguments,
    dotted="bitsandbytes.optim.lion.Lion",
    constants=LION,
    smaller="lion8bit",
    package="bitsandbytes",
    kohya={"Lion": KohyaClass(KOHYA)},
)
