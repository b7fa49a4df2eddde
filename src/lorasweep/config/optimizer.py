"""The optimizer and its learning rates over time."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.config.option import option


@dataclass
class OptimizerConfig:
    """The optimizer and its learning rates."""

    name: str = option("adamw", "which optimizer", choices=("adamw", "adamw8bit", "adafactor"))
    lr: float = option(1e-4, "learning rate of the UNet's adapter", above=0)
    text_encoder_lr: float = option(0.0, "learning rate of both text encoders' adapters; 0 freezes them", at_least=0)
    text_encoder_2_lr: float | None = option(
        None, "learning rate of the second text encoder; null: as text_encoder_lr; 0 freezes it", at_least=0
    )
    weight_decay: float = option(0.01, "decoupled weight decay", at_least=0)
    beta1: float | None = option(
        0.9, "decay of the gradient's mean; null where the optimizer has none", at_least=0, below=1
    )
    beta2: float | None = option(0.999, "decay of its square; null where the optimizer has none", at_least=0, below=1)
    eps: float | None = option(1e-8, "added to the denominator; null where the optimizer has its own", above=0)


@dataclass
class SchedulerConfig:
    """The learning rate over time."""

    name: str = option(
        "cosine",
        "shape of the learning rate",
        choices=("cosine", "cosine_with_restarts", "constant", "linear"),
    )
    warmup_steps: int = option(0, "optimizer steps of linear warmup", at_least=0)
    warmup_ratio: float = option(0.0, "the same as a share of all steps; set one of the two", at_least=0, below=1)
    cycles: int = option(1, "cycles of cosine_with_restarts", at_least=1)
