"""Optimizers that train at other points than those that are for use: schedule-free AdamW averages its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer


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


def _swap(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    for one, other in pairs:
        before = one.clone()
        one.copy_(other)
        other.copy_(before)
