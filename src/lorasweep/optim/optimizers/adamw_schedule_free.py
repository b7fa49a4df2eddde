"""Schedule-free AdamW: it averages the weights on the way instead of lowering the rate (arXiv 2405.15682)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lorasweep.errors import Problem
from lorasweep.optim.optimizers import adamw
from lorasweep.optim.optimizers.kind import ADAM, KohyaClass, OptimizerKind, adam_arguments
from lorasweep.schema import Config
from lorasweep.text.values import written

if TYPE_CHECKING:
    from torch.optim import Optimizer

KOHYA = adamw.KOHYA | {"weight_decay": 0.0}


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return schedulefree's AdamW in training mode: its parameters are the points at which gradients are taken."""
    from schedulefree import AdamWScheduleFree

    optimizer = AdamWScheduleFree(groups, lr=rate, **arguments)
    optimizer.train()
    return optimizer


def refusals(config: Config) -> Iterator[Problem]:
    """Yield what does not go with an optimizer that averages by itself."""
    if config.scheduler.name != "constant":
        yield Problem(
            f"scheduler.name={config.scheduler.name}: adamw_schedule_free averages instead of lowering the rate; "
            "choose scheduler=constant (it may warm up)",
            "scheduler.name",
        )
    if config.optimizer.beta1 == 0:
        yield Problem(
            "optimizer.beta1=0: adamw_schedule_free needs more than 0, such as 0.9, between its average and its steps",
            "optimizer.beta1",
        )
    if (decay := config.training.ema_decay) is not None:
        own = "adamw_schedule_free has an average of its own; set null"
        yield Problem(f"training.ema_decay={written(decay)}: {own}", "training.ema_decay")


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=adam_arguments,
    dotted="schedulefree.adamw_schedulefree.AdamWScheduleFree",
    constants=ADAM,
    group_state=("k", "weight_sum", "lr_max", "train_mode"),  # the weights of its average
    refusals=refusals,
    package="schedulefree",
    kohya={
        "AdamWScheduleFree": KohyaClass(KOHYA, constant=True, own_warmup=True),
        "RAdamScheduleFree": KohyaClass(KOHYA, differs="it warms up by itself", constant=True, own_warmup=True),
    },
)
