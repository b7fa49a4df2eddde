"""Adafactor with a given learning rate: state per row and column only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorasweep.optim.optimizers.kind import KohyaClass, OptimizerKind
from lorasweep.schema import OptimizerConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer

FIXED = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
"""The rate is taken as it is: no relative step, no scaling by the parameters' size."""

EPS = (1e-30, 1e-3)
"""Its own: what it adds to the squared gradient, and to the parameters' size, which is not used."""


def build(groups: list[dict[str, Any]], rate: float, arguments: dict[str, Any]) -> Optimizer:
    """Return transformers' Adafactor."""
    from transformers.optimization import Adafactor

    found: Optimizer = Adafactor(groups, lr=rate, **arguments)
    return found


def arguments(config: OptimizerConfig) -> dict[str, Any]:
    """Return its arguments: `eps=null` is its own 1e-30; with `beta1` it keeps a mean of updates."""
    eps = (EPS[0] if config.eps is None else config.eps, EPS[1])
    return {"weight_decay": config.weight_decay, "eps": eps, "beta1": config.beta1, **FIXED}


OPTIMIZER = OptimizerKind(
    build=build,
    arguments=arguments,
    dotted="transformers.optimization.Adafactor",
    constants={"beta1": None, "eps": None},
    kohya={
        "Adafactor": KohyaClass(
            {"weight_decay": 0.0, "beta1": None, "beta2": None, "eps": None},
            {**FIXED, "clip_threshold": 1.0, "decay_rate": -0.8, "eps": EPS},
            assumed={"relative_step": True, "scale_parameter": True},
        )
    },
)
