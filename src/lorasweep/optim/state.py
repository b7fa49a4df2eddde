"""An optimizer's state as tensors and JSON.

torch's `Optimizer.load_state_dict` casts state to the parameters' dtype and needs a pickle around it; here
the state goes out and comes back bit for bit, as named tensors (for safetensors) and plain numbers (for
JSON).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer


def optimizer_state(
    optimizer: Optimizer, names: Mapping[str, Parameter], group_state: Collection[str]
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Return the optimizer's state as `(tensors, plain)`.

    Learning rates and other constants are not part of it: they come from the config and the schedule.

    Args:
        names: every parameter in the optimizer under a name that is stable between runs; others may be there
            too.
        group_state: what steps change in its parameter groups (`OptimizerKind.group_state`).

    Returns:
        tensors: "<parameter>/<key>" -> copy on the CPU, dtype unchanged, no two sharing memory (safetensors).
        plain: parameter or group -> key -> number (JSON), for what the optimizer keeps outside tensors.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for name, parameter in names.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            else:
                plain.setdefault(name, {})[key] = value
    for group in optimizer.param_groups:
        if values := {key: group[key] for key in group_state if key in group}:
            plain[group["name"]] = values
    return tensors, plain


def load_optimizer_state(
    optimizer: Optimizer,
    names: Mapping[str, Parameter],
    tensors: Mapping[str, Tensor],
    plain: Mapping[str, Mapping[str, Any]],
) -> None:
    """Put a state from `optimizer_state` into a newly built optimizer; its next steps are the old one's.

    Args:
        names: the same names for the new optimizer's parameters.

    Raises:
        ValueError: the state has parameters that `names` lacks.
    """
    groups = {group["name"]: group for group in optimizer.param_groups}
    states: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, values in plain.items():
        (groups[name] if name in groups else states[name]).update(values)
    for path, value in tensors.items():
        name, key = path.rsplit("/", 1)
        states[name][key] = value
    if unknown := sorted(set(states) - set(names)):
        raise ValueError(f"the optimizer state has {len(unknown)} unknown parameters, such as {unknown[0]}")
    optimizer.state.clear()
    for name, state in states.items():
        parameter = names[name]
        optimizer.state[parameter] = {
            key: value.to(parameter.device, copy=True) if isinstance(value, Tensor) else value
            for key, value in state.items()
        }
