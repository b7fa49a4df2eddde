"""Modules whose weights have shapes and no content, in a form that a forward can be run with."""

from __future__ import annotations

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode


def make_fake(module: nn.Module, dtype: torch.dtype) -> FakeTensorMode:
    """Turn weights on the meta device into fake ones, which compute as a CPU's do, autocast included.

    What is trained is in 32 bit, as on a GPU, and what is frozen in `dtype`.

    Returns:
        The mode in which the module can be run.
    """
    with FakeTensorMode() as mode:
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    trained = parameter.requires_grad
                    empty = torch.empty(parameter.shape, dtype=torch.float32 if trained else dtype)
                    part._parameters[name] = nn.Parameter(empty, requires_grad=trained)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
    return mode
