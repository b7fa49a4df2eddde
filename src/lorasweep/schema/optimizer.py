"""The optimizer and its learning rates over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorasweep.registry import Registry
from lorasweep.schema.option import option

# What each name stands for (`optim.optimizers.kind`, `optim.schedules.kind`). Packages of a user's own add names by
# entry points, `lorasweep.optimizers` and `lorasweep.schedules`.
OPTIMIZERS: Registry[Any] = Registry(
    "optimizer",
    "lorasweep.optimizers",
    {
        "adamw": "lorasweep.optim.optimizers.adamw:OPTIMIZER",
        "adamw8bit": "lorasweep.optim.optimizers.adamw8bit:OPTIMIZER",
        "adamw_schedule_free": "lorasweep.optim.optimizers.adamw_schedule_free:OPTIMIZER",
        "adafactor": "lorasweep.optim.optimizers.adafactor:OPTIMIZER",
        "lion": "lorasweep.optim.optimizers.lion:OPTIMIZER",
        "lion8bit": "lorasweep.optim.optimizers.lion8bit:OPTIMIZER",
        "prodigy": "lorasweep.optim.optimizers.prodigy:OPTIMIZER",
    },
)
SCHEDULES: Registry[Any] = Registry(
    "schedule",
    "lorasweep.schedules",
    {
        "cosine": "lorasweep.optim.schedules.cosine:SCHEDULE",
        "cosine_with_restarts": "lorasweep.optim.schedules.cosine_with_restarts:SCHEDULE",
        "constant": "lorasweep.optim.schedules.constant:SCHEDULE",
        "inverse_sqrt": "lorasweep.optim.schedules.inverse_sqrt:SCHEDULE",
        "linear": "lorasweep.optim.schedules.linear:SCHEDULE",
        "polynomial": "lorasweep.optim.schedules.polynomial:SCHEDULE",
        "warmup_stable_decay": "lorasweep.optim.schedules.warmup_stable_decay:SCHEDULE",
    },
)

RATES = ("optimizer.lr", "optimizer.text_encoder_lr", "optimizer.text_encoder_2_lr")
"""Keys of learning rates, of which 0 freezes what it is the rate of; a family's parts say what that is."""


@dataclass
class OptimizerConfig:
    """The optimizer and its learning rates."""

    name: str = option(
        "adamw",
        "which optimizer",
        choices=OPTIMIZERS,
        kohya="optimizer_type",
        meant={
            "adam": "adamw",
            "adam8bit": "adamw8bit",
            "pagedadamw8bit": "adamw8bit",
            "pagedlion8bit": "lion8bit",
            "adamwschedulefree": "adamw_schedule_free",
            "schedule_free": "adamw_schedule_free",
            "dadaptation": "prodigy",
        },
    )
    lr: float = option(
        1e-4,
        "learning rate of the denoiser (SDXL: the UNet) or its adapter; 0 freezes it; prodigy finds the rate and "
        "multiplies it by this",
        at_least=0,
        kohya=("learning_rate", "unet_lr"),
    )
    text_encoder_lr: float = option(
        0.0,
        "learning rate of the text encoders or their adapters; 0 freezes them",
        at_least=0,
        kohya="learning_rate_te1",
    )
    text_encoder_2_lr: float | None = option(
        None,
        "learning rate of the second text encoder; null: as text_encoder_lr; 0 freezes it",
        at_least=0,
        kohya="learning_rate_te2",
    )
    lora_plus_ratio: float | None = option(
        None,
        "LoRA+: the rate of each adapter's B (lora_up) over that of its A, 16 as a rule; null: one rate",
        above=0,
        kohya="loraplus_lr_ratio",
        needs="network.type=lora",
    )
    weight_decay: float = option(0.01, "decoupled weight decay", at_least=0)
    beta1: float | None = option(
        0.9, "decay of the gradient's mean; null where the optimizer has none", at_least=0, below=1
    )
    beta2: float | None = option(
        0.999,
        "decay of its square (lion: of the mean that is kept); null where the optimizer has none",
        at_least=0,
        below=1,
    )
    eps: float | None = option(
        1e-8, "added to the denominator; null where the optimizer has none, or for its own", above=0
    )
    d_coef: float = option(
        1.0,
        "prodigy: factor on the learning rate it finds, the knob to tune it by",
        above=0,
        needs="optimizer.name=prodigy",
    )
    d0: float = option(
        1e-6,
        "prodigy: the learning rate it starts its search from, which only grows",
        above=0,
        needs="optimizer.name=prodigy",
    )
    use_bias_correction: bool = option(
        False,
        "prodigy: Adam's correction of the first steps' means, which are too near to zero",
        needs="optimizer.name=prodigy",
    )
    safeguard_warmup: bool = option(
        False,
        "prodigy: keep warmup, whose rates are small, from inflating the learning rate it finds",
        needs=("optimizer.name=prodigy", "scheduler.warmup_steps or scheduler.warmup_ratio"),
        brought=True,
    )


@dataclass
class SchedulerConfig:
    """The learning rate over time."""

    name: str = option(
        "cosine",
        "shape of the learning rate",
        choices=SCHEDULES,
        kohya="lr_scheduler",
        meant={
            "constant_with_warmup": "constant",
            "cosine_with_min_lr": "cosine",
            "restarts": "cosine_with_restarts",
            "wsd": "warmup_stable_decay",
        },
    )
    warmup_steps: int = option(0, "optimizer steps of linear warmup", at_least=0, kohya="lr_warmup_steps")
    warmup_ratio: float = option(0.0, "the same as a share of all steps; set one of the two", at_least=0, below=1)
    cycles: int = option(
        1,
        "cycles of cosine_with_restarts",
        at_least=1,
        kohya="lr_scheduler_num_cycles",
        needs="scheduler.name=cosine_with_restarts",
    )
    min_lr_ratio: float = option(
        0.0,
        "where cosine, polynomial and warmup_stable_decay end, as a share of the rate; the last also begins there",
        at_least=0,
        below=1,
        kohya="lr_scheduler_min_lr_ratio",
        needs="scheduler.name=cosine|polynomial|warmup_stable_decay",
    )
    power: float = option(
        1.0,
        "polynomial: power of what is left of the run; 1 is a straight line",
        above=0,
        kohya="lr_scheduler_power",
        needs="scheduler.name=polynomial",
    )
    decay_ratio: float = option(
        0.2,
        "warmup_stable_decay: share of all steps that decay",
        above=0,
        at_most=1,
        needs="scheduler.name=warmup_stable_decay",
    )
    decay_shape: str = option(
        "linear",
        "warmup_stable_decay: shape of its decay",
        choices=("linear", "cosine", "1-sqrt"),
        needs="scheduler.name=warmup_stable_decay",
    )
