"""The optimizer and its learning rates over time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lorasweep.errors import Problem
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.optim.schedules.kind import schedule_kind
from lorasweep.optim.warmup import misfits
from lorasweep.schema import Config, value_at
from lorasweep.schema.optimizer import RATES
from lorasweep.text.values import written

FAR = 10.0
"""A rate that is so many times another is no choice between neighbours any more."""


def _constants(config: Config) -> Iterator[Problem]:
    name, optimizer = config.optimizer.name, config.optimizer
    usual = optimizer_kind(name).constants
    for key, value in (("beta1", optimizer.beta1), ("beta2", optimizer.beta2), ("eps", optimizer.eps)):
        given, keys = f"optimizer.{key}={written(value)}", (f"optimizer.{key}", "optimizer.name")
        if value is not None and key not in usual:
            yield Problem(f"{given}: {name} has none; choose it whole with optimizer={name}, or set null", *keys)
        if value is None and usual.get(key) is not None:
            yield Problem(f"{given}: {name} needs a number, such as {usual[key]:g}", *keys)


def _rates(config: Config) -> Iterator[Problem]:
    if not any(value_at(config, key) for key in RATES):
        given = " and ".join(f"{key}={written(value_at(config, key))}" for key in RATES)
        yield Problem(f"{given} freeze everything: give one of them a rate above 0", *RATES)


def _refusals(config: Config) -> Iterator[Problem]:
    yield from optimizer_kind(config.optimizer.name).refusals(config)


def _scheduler(config: Config) -> Iterator[Problem]:
    scheduler, last = config.scheduler, config.training.max_steps
    steps, ratio = scheduler.warmup_steps, scheduler.warmup_ratio
    if steps and ratio:
        both = f"scheduler.warmup_steps={steps} and scheduler.warmup_ratio={written(ratio)}"
        yield Problem(f"{both}: set one of the two to 0", "scheduler.warmup_steps", "scheduler.warmup_ratio")
    elif last is not None:  # of epochs it is known once the images are (`data.survey.plan_of`)
        yield from misfits(scheduler, last, f"training.max_steps={last}")
    yield from schedule_kind(scheduler.name).refusals(scheduler)


def rate_remarks(config: Config, given: Collection[str]) -> list[str]:
    """Return in words that the rate of a recipe is far from what suits the base.

    Args:
        config: a whole one.
        given: the keys and groups that the command line sets.
    """
    rate, suits = config.optimizer.lr, config.base_model.lora_lr
    is_of_recipe = (
        not {"optimizer", "optimizer.lr", "preset", "compat", "sweeps"} & set(given) and config.resume is None
    )
    if not is_of_recipe or not rate or config.network.type == "full":
        return []
    if optimizer_kind(config.optimizer.name).searches_rate or 1 / FAR < suits / rate < FAR:
        return []
    return [f"optimizer.lr={written(rate)} is the recipe's; this base learns well at about optimizer.lr={suits:g}"]


RULES = (_constants, _rates, _refusals, _scheduler)
