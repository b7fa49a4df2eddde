"""The optimizer and its learning rates over time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lorasweep.errors import Problem
from lorasweep.schema import Config, value_at
from lorasweep.schema.optimizer import CONSTANTS
from lorasweep.schema.schedules import misfits
from lorasweep.text import written

FAR = 10.0
"""A rate that is so many times another is no choice between neighbours any more."""


def _constants(config: Config) -> Iterator[Problem]:
    name, optimizer = config.optimizer.name, config.optimizer
    usual = CONSTANTS.get(name)
    if usual is None:  # reported by itself
        return
    for key, value in (("beta1", optimizer.beta1), ("beta2", optimizer.beta2), ("eps", optimizer.eps)):
        given, keys = f"optimizer.{key}={written(value)}", (f"optimizer.{key}", "optimizer.name")
        if value is not None and key not in usual:
            yield Problem(f"{given}: {name} has none; choose it whole with optimizer={name}, or set null", *keys)
        if value is None and usual.get(key) is not None:
            yield Problem(f"{given}: {name} needs a number, such as {usual[key]:g}", *keys)


def _rates(config: Config) -> Iterator[Problem]:
    keys = ("optimizer.lr", "optimizer.text_encoder_lr", "optimizer.text_encoder_2_lr")
    if not any(value_at(config, key) for key in keys):
        given = " and ".join(f"{key}={written(value_at(config, key))}" for key in keys)
        yield Problem(f"{given} freeze everything: give one of them a rate above 0", *keys)


def _prodigy(config: Config) -> Iterator[Problem]:
    optimizer = config.optimizer
    if optimizer.name != "prodigy":
        return
    keys = ("lr", "text_encoder_lr", "text_encoder_2_lr")
    rates = {f"optimizer.{key}": value_at(config, f"optimizer.{key}") for key in keys}
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


def _schedule_free(config: Config) -> Iterator[Problem]:
    if config.optimizer.name != "adamw_schedule_free":
        return
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


def _scheduler(config: Config) -> Iterator[Problem]:
    scheduler, last = config.scheduler, config.training.max_steps
    steps, ratio = scheduler.warmup_steps, scheduler.warmup_ratio
    if steps and ratio:
        both = f"scheduler.warmup_steps={steps} and scheduler.warmup_ratio={written(ratio)}"
        yield Problem(f"{both}: set one of the two to 0", "scheduler.warmup_steps", "scheduler.warmup_ratio")
    elif last is not None:  # of epochs it is known once the images are (`data.survey.plan_of`)
        yield from misfits(scheduler, last, f"training.max_steps={last}")
    if scheduler.name == "inverse_sqrt" and not (steps or ratio):
        yield Problem(
            "scheduler.warmup_ratio=0: inverse_sqrt falls off on the scale of its warmup; set it (0.05, say), or "
            "scheduler.warmup_steps",
            "scheduler.warmup_ratio",
            "scheduler.warmup_steps",
            "scheduler.name",
        )
    if scheduler.name == "warmup_stable_decay" and ratio + scheduler.decay_ratio > 1:
        yield Problem(
            f"scheduler.warmup_ratio={written(ratio)} and scheduler.decay_ratio={written(scheduler.decay_ratio)} are "
            "more than the whole run: expected at most 1 together",
            "scheduler.warmup_ratio",
            "scheduler.decay_ratio",
        )


def told(config: Config, given: Collection[str]) -> list[str]:
    """Return in words that the rate of a recipe is far from what suits the base.

    Args:
        config: a whole one.
        given: the keys and groups that the command line sets.
    """
    rate, suits = config.optimizer.lr, config.base_model.lora_lr
    is_of_recipe = (
        not {"optimizer", "optimizer.lr", "preset", "compat", "sweeps"} & set(given) and config.resume is None
    )
    if not is_of_recipe or not rate or config.optimizer.name == "prodigy" or config.network.type == "full":
        return []
    if 1 / FAR < suits / rate < FAR:
        return []
    return [f"optimizer.lr={written(rate)} is the recipe's; this base learns well at about optimizer.lr={suits:g}"]


RULES = (_constants, _rates, _prodigy, _schedule_free, _scheduler)
