"""The adapter."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from lorasweep import weights
from lorasweep.adapters.ranks import layer_rules
from lorasweep.checks.wording import default, inert
from lorasweep.config import Config, value_at

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


def _network(config: Config) -> Iterator[str]:
    network = config.network
    if network.type != "full" and not any(value_at(config, key) for key in LAYERS):
        yield (
            "network.attention=false, network.feed_forward=false, network.projections=false and "
            "network.convolutions=false leave nothing of the UNet to train: set one of them to true"
        )
    for key, kinds in KINDS.items():
        if network.type not in kinds and value_at(config, key) != default(key):
            yield inert(config, key, f"with network.type={network.type}; it is for {', '.join(kinds)}")
    if network.tucker and not network.convolutions:
        yield inert(config, "network.tucker", "without network.convolutions=true: it is for their kernels")
    if network.factor == 0:
        yield "network.factor=0: expected a divisor of the layers' sizes, such as 8, or -1"


def in_vain(config: Config, given: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with options that a command line gives itself, but which a recipe may bring along.

    Every recipe has a rank; `network=full` beside one is no mistake.
    """
    for key in ("network.rank", "network.alpha"):
        if config.network.type == "full" and key in given:
            yield inert(config, key, "with network.type=full: all weights are trained")


def _ranks(config: Config) -> Iterator[str]:
    try:
        layer_rules(config.network)
    except ValueError as error:
        yield f"network.ranks: {error}"


def _start_from(config: Config) -> Iterator[str]:
    if config.network.start_from is None:
        return
    path = Path(config.network.start_from)
    if not path.is_file():
        yield f"network.start_from={path}: there is no such file; expected a LoRA's .safetensors file"
    elif path.suffix in weights.PICKLES:
        yield f"network.start_from={path}: a pickled file could run any code; expected a .safetensors file"
    elif problem := weights.safetensors_problem(path):
        yield f"network.start_from={path}: {problem}; copy or download it again"


RULES = (_network, _ranks, _start_from)
