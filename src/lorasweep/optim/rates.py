"""The learning rate of each component as it is at a step."""

from __future__ import annotations

from torch.optim import Optimizer

UP = "/up"  # ends the name of a group of LoRA+'s fast parameters, B


def current_rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the learning rate of each component at the current step; of LoRA+'s two, that of A.

    Prodigy's is the rate it has found so far times the schedule's multiplier, so that it compares with the others'.
    """
    groups = (group for group in optimizer.param_groups if not group["name"].endswith(UP))
    return {group["name"]: group["lr"] * group.get("d", 1.0) for group in groups}
