"""The optimizer, its learning rate per component, and its state as tensors + JSON.

torch's `Optimizer.load_state_dict` casts state to the parameters' dtype and needs a pickle around it; here
the state goes out and comes back bit for bit, as named tensors (for safetensors) and plain numbers (for
JSON).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from lorasweep.config import OptimizerConfig
from lorasweep.errors import UserError


def learning_rates(config: OptimizerConfig) -> dict[str, float]:
    """Return the learning rate of each component that trains; a component with rate 0 is frozen and left out.

    `text_encoder_2_lr=null` means the rate of encoder 1.
    """
    second = config.text_encoder_lr if config.text_encoder_2_lr is None else config.text_encoder_2_lr
    rates = {"unet": config.lr, "text_encoder": config.text_encoder_lr, "text_encoder_2": second}
    return {component: rate for component, rate in rates.items() if rate > 0}


def build_optimizer(
    config: OptimizerConfig, groups: Mapping[str, Sequence[Parameter]], lrs: Mapping[str, float]
) -> Optimizer:
    """Return the optimizer with one parameter group per component, named in its `name`.

    Args:
        config: which optimizer, and its constants. adamw8bit keeps tensors of fewer than 4,096 elements in 32
            bit (bitsandbytes' default). Adafactor takes `lr` as it is (no relative step, no scaling by the
            parameters' size); `eps` is what it adds to the squared gradient, null its own 1e-30; with `beta1`
            it keeps a mean of updates.
        groups: trainable parameters of each component.
        lrs: learning rate of each component that trains, as `learning_rates` gives; other groups are left
            out.

    Raises:
        UserError: a beta that this optimizer does not have, or that it needs and was not given.
        ValueError: another `config.name`.
    """
    _check_betas(config)
    parameters = [
        {"params": list(group), "lr": lrs[component], "name": component}
        for component, group in groups.items()
        if component in lrs
    ]
    if config.name == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(
            parameters,
            lr=config.lr,
            eps=(1e-30 if config.eps is None else config.eps, 1e-3),
            beta1=config.beta1,
            weight_decay=config.weight_decay,
            scale_parameter=False,
            relative_step=False,
            warmup_init=False,
        )
    constants: dict[str, Any] = {
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": 1e-8 if config.eps is None else config.eps,
        "weight_decay": config.weight_decay,
    }
    if config.name == "adamw":
        # Fused: one kernel for all tensors, on a CPU four times as fast for an adapter's many small ones.
        return torch.optim.AdamW(parameters, **constants, fused=True)
    if config.name == "adamw8bit":
        # On import bitsandbytes warns of a missing 4-bit matrix product, which nothing here uses.
        logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(parameters, **constants)
    raise ValueError(f"optimizer.name is {config.name!r}, expected adamw, adamw8bit or adafactor")


def optimizer_state(
    optimizer: Optimizer, names: Mapping[str, Parameter]
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Return the optimizer's state as `(tensors, plain)`.

    Learning rates and other constants are not part of it: they come from the config and the schedule.

    Args:
        names: every parameter in the optimizer under a name that is stable between runs; others may be there
            too.

    Returns:
        tensors: "<parameter>/<key>" -> copy on the CPU, dtype unchanged, no two sharing memory (safetensors).
        plain: parameter -> key -> number (JSON), for what the optimizer keeps outside tensors.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for name, parameter in names.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            else:
                plain.setdefault(name, {})[key] = value
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
    states: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, values in plain.items():
        states[name].update(values)
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


def _check_betas(config: OptimizerConfig) -> None:
    problems = []
    if config.name == "adafactor" and config.beta2 is not None:
        problems.append(f"optimizer.beta2={config.beta2}: adafactor has no beta2; set optimizer.beta2=null")
    if config.name != "adafactor":
        problems += [
            f"optimizer.{key}=null: {config.name} needs it; a usual value is {usual}"
            for key, value, usual in (("beta1", config.beta1, 0.9), ("beta2", config.beta2, 0.999))
            if value is None
        ]
    if problems:
        raise UserError(problems)
