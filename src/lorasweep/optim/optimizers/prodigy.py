"""Prodigy: AdamW that finds its learning rate, one for all components (arXiv 2306.06101)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

from lorasweep.errors import Problem
from lorasweep.optim.optimizers import adamw
from lorasweep.optim.optimizers.kind import ADAM, KohyaClass, OptimizerKind, adam_arguments
from lorasweep.schema import Config, OptimizerConfig, value_at
from lorasweep.schema.optimizer import RATES
from lorasweep.text.values import written

if TYPE_CHECKING:
    from torch.optim import Optimizer

OWN = {"d0": 1e-6, "d_coef": 1.0, "use_bias_correction": False, "safeguard_warmup": False}
KOHYA = adamw.KOHYA | {"weight_decay": 0.0, **OWN}
_DECOUPLED = {"decouple": True, "growth_rate": "inf", "slice_p": 1, "beta3": None, "fsdp_in_use": False}
_SEARCHES = "it finds its rate in another way"


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return prodigyopt's Prodigy."""
    from prodigyopt import Prodigy

    with redirect_stdout(StringIO()):  # it prints that weight decay is decoupled
        found: Optimizer = Prodigy(groups, lr=rate, **arguments)
    return found


def arguments(config: OptimizerConfig) -> dict[str, Any]:
    """Return AdamW's arguments and its own."""
    return adam_arguments(config) | {key: getattr(config, key) for key in OWN}


def refusals(config: Config) -> Iterator[Problem]:
    """Yield what is a rate of other optimizers, or several rates where there is one."""
    optimizer = config.optimizer
    rates = {key: value_at(config, key) for key in RATES}
    trained = {key: rate for key, rate in rates.items() if rate}
    if 0 < optimizer.lr < 0.01:  # a learning rate, meant for another optimizer
        yield Problem(
            f"optimizer.lr={written(optimizer.lr)}: prodigy finds the learning rate itself and multiplies it by this; "
            f"add {' '.join(f'{key}=1' for key in trained)}",
            *trained,
        )
    else:
        common = next(iter(trained.values()), 0)
        for key, rate in trained.items():
            if rate != common:
                yield Problem(
                    f"{key}={written(rate)}: prodigy has one rate for all; set {next(iter(trained))}'s, "
                    f"{written(common)}, or 0 to freeze",
                    key,
                    *trained,
                )
    if optimizer.lora_plus_ratio is not None:
        yield Problem(
            f"optimizer.lora_plus_ratio={written(optimizer.lora_plus_ratio)}: prodigy has one rate for all; set null, "
            "or choose another optimizer",
            "optimizer.lora_plus_ratio",
        )


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=arguments,
    dotted="prodigyopt.prodigy.Prodigy",
    constants=ADAM,
    group_state=("k", "d", "d_max", "d_numerator"),  # the rate it found, and what that follows from
    refusals=refusals,
    searches_rate="optimizer.d_coef",
    package="prodigyopt",
    kohya={
        "Prodigy": KohyaClass(KOHYA, _DECOUPLED),
        "ProdigyPlusScheduleFree": KohyaClass(
            KOHYA | {"beta2": 0.99}, _DECOUPLED, differs=f"{_SEARCHES}, and averages the weights", constant=True
        ),
    }
    | {
        f"DAdapt{kind}": KohyaClass(KOHYA, _DECOUPLED, differs=_SEARCHES)
        for kind in ("Adam", "AdamPreprint", "Adan", "AdanIP", "Lion", "SGD", "AdaGrad")
    },
)
