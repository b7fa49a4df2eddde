"""The optimizer, with a learning rate per component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.nn import Parameter
from torch.optim import Optimizer

from lorasweep.errors import UserError
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.optim.rates import UP
from lorasweep.schema import OptimizerConfig


def build_optimizer(config: OptimizerConfig, named: Mapping[str, Parameter], rates: Mapping[str, float]) -> Optimizer:
    """Return the optimizer with one parameter group per component that trains, named in its `name`.

    With LoRA+ (arXiv 2402.12354) each component has two: B (`lora_B`), which starts at zero, learns
    `lora_plus_ratio` times as fast as the rest and is in the group "<component>/up".

    Args:
        config: a checked config: which optimizer (`optim.optimizers` has a file for each), its rates and constants.
        named: parameters by names that begin with "<component>."; those of frozen components are left out.
        rates: learning rate of each component that trains, above 0.

    Raises:
        UserError: LoRA+ for an adapter without B, or there is no optimizer `config.name`.
    """
    kind = optimizer_kind(config.name)
    rate = max(rates.values())  # which no group uses, as each has its own
    return kind.build(_groups(config, named, rates), rate, kind.arguments(config))


def _groups(
    config: OptimizerConfig, named: Mapping[str, Parameter], rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    ratio = config.lora_plus_ratio
    if ratio is not None and not any(name.endswith(".lora_B") for name in named):
        raise UserError(f"optimizer.lora_plus_ratio={ratio:g}: this adapter has no B to train faster; set null")
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in named.items():
        component = name.partition(".")[0]
        if component not in rates:
            continue
        group, rate = component, rates[component]
        if ratio is not None and name.endswith(".lora_B"):
            group, rate = component + UP, rate * ratio
        groups.setdefault(group, {"params": [], "lr": rate, "name": group})["params"].append(parameter)
    return list(groups.values())
