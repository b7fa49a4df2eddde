"""The adapter."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from lorasweep import weights
from lorasweep.adapters.ranks import layer_rules
from lorasweep.checks.wording import default, inert
from lorasweep.config import Config, value_at
from lorasweep.errors import Problem

ADAPTERS = ("lora", "loha", "lokr")
LAYERS = ("network.attention", "network.feed_forward", "network.projections", "network.convolutions")

# Kinds of adapter that an option has an effect on; the others refuse it. What is left out has one on each.
KINDS = {
    **dict.fromkeys(LAYERS, ADAPTERS),
    "network.ranks": ADAPTERS,
    "network.rslora": ADAPTERS,
    "network.dropout": ("lora",),
    "network.rank_dropout": ADAPTERS,
    "network.module_dropout": ADAPTERS,
    "network.max_norm": ADAPTERS,
    "network.dora": ("lora",),
    "network.factor": ("lokr",),
    "network.decompose_both": ("lokr",),
    "network.tucker": ("loha",),  # ComfyUI cannot load such a LoKr, see LokrAdapter
    "network.start_from": ADAPTERS,
}


def _network(config: Config) -> Iterator[Problem]:
    network = config.network
    if network.type != "full" and not any(value_at(config, key) for key in LAYERS):
        yield Problem(
            "network.attention=false, network.feed_forward=false, network.projections=false and "
            "network.convolutions=false leave nothing of the UNet to train: set one of them to true",
            *LAYERS,
        )
    for key, kinds in KINDS.items():
        if network.type not in kinds and value_at(config, key) != default(key):
            because = f"with network.type={network.type}; it is for {', '.join(kinds)}"
            yield inert(config, key, because, "network.type")
    if network.tucker and not network.convolutions:
        because = "without network.convolutions=true: it is for their kernels"
        yield inert(config, "network.tucker", because, "network.convolutions")
    if network.factor == 0:
        yield Problem("network.factor=0: expected a divisor of the layers' sizes, such as 8, or -1", "network.factor")


def in_vain(config: Config, given: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with options that a command line gives itself, but which a recipe may bring along.

    Every recipe has a rank; `network=full` beside one is no mistake.
    """
    for key in ("network.rank", "network.alpha"):
        if config.network.type == "full" and key in given:
            yield inert(config, key, "with network.type=full: all weights are trained", "network.type")


def _ranks(config: Config) -> Iterator[Problem]:
    try:
        layer_rules(config.network)
    except ValueError as error:
        yield Problem(f"network.ranks: {error}", "network.ranks")


def _start_from(config: Config) -> Iterator[Problem]:
    if config.network.start_from is None:
        return
    path = Path(config.network.start_from)
    if problem := weights.lora_problem(path):
        yield Problem(f"network.start_from={path}: {problem}", "network.start_from")


RULES = (_network, _ranks, _start_from)
