"""Several processes on one version, one per GPU: `accelerate launch --multi_gpu --num_processes 2 train.py ...`.

A batch is dealt out, row by row; the gradients are added up before the optimizer's step, so every process takes the
same step and the weights are those of a single process, up to the order of the additions. The first process alone
owns the version: its folder, record, trackers, samples and measures. The others only help with its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.nn import Parameter

CHUNK = 1 << 24
"""Gradient elements that are sent at once (64 MiB): few messages for an adapter, no second copy of a whole UNet."""


class Processes:
    """The processes that step one version together; one by itself in a plain run.

    Args:
        accelerator: has connected them.

    Attributes:
        rank: this process's number, 0 for the one that owns the version. count: how many there are.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.rank, self.count = accelerator.process_index, accelerator.num_processes

    def tell(self, value: Any) -> None:
        """Tell the others something (the first process only)."""
        if self.count > 1:
            broadcast_object_list([value])

    def hear(self) -> Any:
        """Wait for what the first process tells, however long it is measuring or sampling (all but the first)."""
        heard = [None]
        broadcast_object_list(heard)
        return heard[0]

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        return value if self.count == 1 else self._accelerator.reduce(value, "sum")

    def add_up_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Give every parameter the sum of its gradients; a process without rows in this step adds zeros."""
        if self.count == 1:
            return
        for group in _chunks(parameters):
            for parameter in group:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            flat = torch.cat([parameter.grad.flatten() for parameter in group if parameter.grad is not None])
            torch.distributed.all_reduce(flat)
            parts = flat.split([parameter.numel() for parameter in group])
            for parameter, part in zip(group, parts, strict=True):
                parameter.grad = part.view_as(parameter).clone()


def _chunks(parameters: Sequence[Parameter]) -> Iterator[list[Parameter]]:
    """Yield the parameters in groups of about `CHUNK` elements; one that is larger by itself."""
    group: list[Parameter] = []
    held = 0
    for parameter in parameters:
        if group and held + parameter.numel() > CHUNK:
            yield group
            group, held = [], 0
        group.append(parameter)
        held += parameter.numel()
    if group:
        yield group
