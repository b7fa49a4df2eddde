"""The optimizer, its learning rate per component, and its state as tensors + JSON.

torch's `Optimizer.load_state_dict` casts state to the parameters' dtype and needs a pickle around it; here
the state goes out and comes back bit for bit, as named tensors (for safetensors) and plain numbers (for
JSON).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from lorasweep.errors import UserError
from lorasweep.schema import OptimizerConfig

UP = "/up"  # ends the name of a group of LoRA+'s fast parameters, B

# What steps change in a parameter group: of Prodigy the rate it found and what that follows from; of schedule-free
# AdamW the weights of its average. Other values of a group come from the config and the schedule.
GROUP_STATE = ("k", "d", "d_max", "d_numerator", "weight_sum", "lr_max", "train_mode")


def learning_rates(config: OptimizerConfig) -> dict[str, float]:
    """Return the learning rate of each component that trains; a component with rate 0 is frozen and left out.

    `text_encoder_2_lr=null` means the rate of encoder 1.
    """
    second = config.text_encoder_lr if config.text_encoder_2_lr is None else config.text_encoder_2_lr
    rates = {"unet": config.lr, "text_encoder": config.text_encoder_lr, "text_encoder_2": second}
    return {component: rate for component, rate in rates.items() if rate > 0}


def build_optimizer(config: OptimizerConfig, named: Mapping[str, Parameter]) -> Optimizer:
    """Return the optimizer with one parameter group per component that trains, named in its `name`.

    With LoRA+ (arXiv 2402.12354) each component has two: B (`lora_B`), which starts at zero, learns
    `lora_plus_ratio` times as fast as the rest and is in the group "<component>/up".

    adamw8bit and lion8bit keep the state of tensors of fewer than 4,096 elements in 32 bit (bitsandbytes' default).
    Adafactor takes `lr` as it is (no relative step, no scaling by the parameters' size); `eps` is what it adds to the
    squared gradient, null its own 1e-30; with `beta1` it keeps a mean of updates. adamw_schedule_free is in training
    mode: its parameters are the points y at which gradients are taken; `averaged` gives x, which is for use.

    Args:
        config: a checked config: which optimizer, its rates and constants.
        named: parameters by names that begin with "<component>."; those of frozen components are left out.

    Raises:
        UserError: LoRA+ for an adapter without B.
        ValueError: another `config.name`.
    """
    groups = _groups(config, named)
    # The rate that no group uses, as each has its own; optimizers and schedules refuse 0, which freezes the UNet.
    rate = config.lr or max(learning_rates(config).values())
    constants: dict[str, Any] = {"lr": rate, "weight_decay": config.weight_decay}
    if config.name == "adafactor":
        from transformers.optimization import Adafactor

        eps = (1e-30 if config.eps is None else config.eps, 1e-3)
        off = dict.fromkeys(("scale_parameter", "relative_step", "warmup_init"), False)
        return Adafactor(groups, **constants, **off, eps=eps, beta1=config.beta1)
    constants["betas"] = (config.beta1, config.beta2)
    if config.eps is not None:
        constants["eps"] = config.eps
    match config.name:
        case "adamw":
            # Fused: one kernel for all tensors, on a CPU four times as fast for an adapter's many small ones.
            return torch.optim.AdamW(groups, **constants, fused=True)
        case "adamw8bit":
            return _bitsandbytes().AdamW8bit(groups, **constants)
        case "lion":
            return _bitsandbytes().Lion(groups, **constants)
        case "lion8bit":
            return _bitsandbytes().Lion8bit(groups, **constants)
        case "prodigy":
            from prodigyopt import Prodigy

            with redirect_stdout(StringIO()):  # it prints that weight decay is decoupled
                return Prodigy(
                    groups,
                    **constants,
                    d_coef=config.d_coef,
                    d0=config.d0,
                    use_bias_correction=config.use_bias_correction,
                    safeguard_warmup=config.safeguard_warmup,
                )
        case "adamw_schedule_free":
            from schedulefree import AdamWScheduleFree

            optimizer = AdamWScheduleFree(groups, **constants)
            optimizer.train()
            return optimizer
    raise ValueError(f"optimizer.name is {config.name!r}, which has no optimizer")


def current_rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the learning rate of each component at the current step; of LoRA+'s two, that of A.

    Prodigy's is the rate it has found so far times the schedule's multiplier, so that it compares with the others'.
    """
    groups = (group for group in optimizer.param_groups if not group["name"].endswith(UP))
    return {group["name"]: group["lr"] * group.get("d", 1.0) for group in groups}


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Give the parameters the values that are for use, where the optimizer trains at others (schedule-free AdamW).

    Afterwards they are bit for bit what they were: the optimizer's own way back rounds, and training must not depend
    on how often it is measured. With any other optimizer nothing happens.
    """
    if not hasattr(optimizer, "eval"):
        yield
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    trained = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
        with torch.no_grad():
            torch._foreach_copy_(parameters, trained)


@torch.no_grad()
def everywhere(optimizer: Optimizer, change: Callable[[], None]) -> None:
    """Apply a change of the parameters wherever the optimizer keeps weights.

    Schedule-free AdamW trains at a point between its steps z and their average x, which is for use: both are changed,
    and the point follows. Changed alone, it would leave z to run away, and x be dragged to the other side. Other
    optimizers keep no weights: the parameters are all there is.

    Args:
        optimizer: in training mode.
        change: changes the parameters in place.
    """
    if not hasattr(optimizer, "eval"):
        change()
        return
    steps = [(parameter, state["z"]) for parameter, state in optimizer.state.items() if "z" in state]
    optimizer.eval()
    change()
    _swap(steps)
    change()
    _swap(steps)
    optimizer.train()


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
        if values := {key: group[key] for key in GROUP_STATE if key in group}:
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


def _groups(config: OptimizerConfig, named: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    ratio, rates = config.lora_plus_ratio, learning_rates(config)
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


def _swap(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    for one, other in pairs:
        before = one.clone()
        one.copy_(other)
        other.copy_(before)


def _bitsandbytes() -> Any:
    import bitsandbytes.optim

    # It waits for the GPU after every parameter, which only paged states need: they are moved behind torch's back. Its
    # kernels run on the default stream, as all else here, and so in order.
    bitsandbytes.optim.optimizer.sync_gpu = lambda tensor: None
    return bitsandbytes.optim
