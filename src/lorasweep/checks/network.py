"""The adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorasweep.adapters.ranks import layer_rules
from lorasweep.errors import Problem
from lorasweep.families.kinds import lora_problem
from lorasweep.families.known import family_of
from lorasweep.schema import Config, value_at

LAYERS = ("network.attention", "network.feed_forward", "network.projections", "network.convolutions")


def _network(config: Config) -> Iterator[Problem]:
    network = config.network
    if network.type != "full" and not any(value_at(config, key) for key in LAYERS):
        denoiser = next(part.label for part in family_of(config.base_model).parts if part.denoiser)
        yield Problem(
            "network.attention=false, network.feed_forward=false, network.projections=false and "
            f"network.convolutions=false leave nothing of the {denoiser} to train: set one of them to true",
            *LAYERS,
        )
    if network.factor == 0:
        yield Problem("network.factor=0: expected a divisor of the layers' sizes, such as 8, or -1", "network.factor")


def _ranks(config: Config) -> Iterator[Problem]:
    try:
        layer_rules(config.network)
    except ValueError as error:
        yield Problem(f"network.ranks: {error}", "network.ranks")


def _start_from(config: Config) -> Iterator[Problem]:
    if config.network.start_from is None or config.resume is not None:  # a state holds all that the file gave
        return
    path = Path(config.network.start_from)
    if problem := lora_problem(path):
        yield Problem(f"network.start_from={path}: {problem}", "network.start_from")


RULES = (_network, _ranks, _start_from)
