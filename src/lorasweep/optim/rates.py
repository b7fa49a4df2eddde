"""The learning rate of each component: as it is set, and as it is at a step."""

from __future__ import annotations

from torch.optim import Optimizer

from lorasweep.schema import OptimizerConfig

UP = "/up"  # ends the name of a group of LoRA+'s fast parameters, B


def learning_rates(config: OptimizerConfig) -> dict[str, float]:
    """Return the learning rate of each component that trains; a component with rate 0 is frozen and left out.

    `text_encoder_2_lr=null` means the rate of encoder 1.
    """
    second = config.text_encoder_lr if config.text_encoder_2_lr is None else config.text_encoder_2_lr
    rates = {"unet": config.lr, "text_encoder": config.text_encoder_lr, "text_encoder_2": second}
    return {component: rate for component, rate in rates.items() if rate > 0}


def current_rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the learning rate of each component at the current step; of LoRA+'s two, that of A.

    Prodigy's is the rate it has found so far times the schedule's multiplier, so that it compares with the others'.
    """
    groups = (group for group in optimizer.param_groups if not group["name"].endswith(UP))
    return {group["name"]: group["lr"] * group.get("d", 1.0) for group in groups}
