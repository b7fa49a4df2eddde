"""Values of named parameters: copied out, and taken over whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lorasweep.errors import UserError

MAX_LISTED = 5
"""Problems that are listed one by one."""


def copies(named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return fp32 copies on the CPU of parameters, by their names."""
    return {name: parameter.detach().to("cpu", torch.float32, copy=True) for name, parameter in named.items()}


@torch.no_grad()
def take_over(named: Mapping[str, nn.Parameter], state: Mapping[str, Tensor], *, cure: str) -> None:
    """Copy the values of `state` into the parameters of the same names, all or none.

    Args:
        named: parameters.
        state: values by the same names, of the same shapes.
        cure: what to do when they differ.

    Raises:
        UserError: a name is missing or unknown, or a shape differs.
    """
    problems = [f"no values for {name}" for name in named if name not in state]
    problems += [f"values for {name}, which is not trained here" for name in state if name not in named]
    problems += [
        f"{name} has the shape {tuple(state[name].shape)}, expected {tuple(parameter.shape)}"
        for name, parameter in named.items()
        if name in state and state[name].shape != parameter.shape
    ]
    if problems:
        more = [f"... and {len(problems) - MAX_LISTED} more"] if len(problems) > MAX_LISTED else []
        raise UserError([*problems[:MAX_LISTED], *more, cure], title="These weights do not fit")
    for name, parameter in named.items():
        parameter.copy_(state[name])
