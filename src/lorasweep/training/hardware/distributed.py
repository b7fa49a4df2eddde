"""Several processes on one version, one per GPU: `accelerate launch --multi_gpu --num_processes 2 train.py ...`.

A batch is dealt out, row by row; the gradients are added up before the optimizer's step, so every process takes the
same step and the weights are those of a single process, up to the order of the additions. All run the same code; the
first process alone measures, samples and writes the version's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from traceback import clear_frames
from typing import TypeVar

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.nn import Parameter

from lorasweep.training.memory.shortage import out_of_memory

T = TypeVar("T")

CHUNK = 1 << 24
"""Gradient elements that are sent at once (64 MiB): few messages for an adapter, no second copy of a whole UNet."""


class PeerError(Exception):
    """Another process failed at what all of them do together; its number and its reason are the message."""


class LostProcessError(Exception):
    """Another process has ended, or this one failed between two messages: nothing more can be done together."""


class Processes:
    """The processes that step one version together; one by itself in a plain run.

    Args:
        accelerator: has connected them.

    Attributes:
        rank: this process's number, 0 for the one that writes.
        count: how many there are.
        apart: whether they have lost each other.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.rank, self.count = accelerator.process_index, accelerator.num_processes
        self.apart = False

    @property
    def main(self) -> bool:
        """Whether this is the first process, which measures and writes."""
        return self.rank == 0

    def broadcast(self, value: T) -> T:
        """Return the first process's value on every process, however long it takes to come.

        Once the processes have lost each other, each goes on with its own.

        Args:
            value: of the first process, which can be pickled; what the others give is only their type.

        Raises:
            LostProcessError: another process is gone.
        """
        if self.count == 1 or self.apart:
            return value
        shared = [value]
        with self._exchange():
            broadcast_object_list(shared)
        return shared[0]

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the first process do what is inside before the others, who then find it done: what is cached, say.

        Inside of `together`.

        Raises:
            PeerError: the first process failed.
            LostProcessError: another process is gone.
        """
        if not self.main and not self.broadcast(False):
            raise PeerError("process 0 failed")
        done = False
        try:
            yield
            done = True
        finally:
            if self.main:
                self.broadcast(done)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let what every process does inside be done by all of them or fail on all of them.

        Who fails alone would leave the others waiting for its gradients without an end.

        Raises:
            PeerError: it failed on another process only.
            torch.OutOfMemoryError: another process ran out of memory.
            LostProcessError: another process is gone.
        """
        if self.count == 1:
            yield
            return
        mine: Exception | None = None
        try:
            yield
        except Exception as error:
            clear_frames(error.__traceback__)  # what they hold may be what the message needs room for
            mine = error
        with self._exchange():
            failed = torch.tensor(float(mine is not None), device=self._accelerator.device)
            reasons = self._reasons(mine) if self._accelerator.reduce(failed, "sum").item() else []
        if mine or reasons:
            raise mine or reasons[0]

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes.

        Raises:
            LostProcessError: another process is gone.
        """
        if self.count == 1:
            return value
        with self._exchange():
            return self._accelerator.reduce(value, "sum")

    def add_up_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Give every parameter the sum of its gradients; a process without rows in this step adds zeros.

        Raises:
            LostProcessError: another process is gone, or the sum failed on this one.
        """
        if self.count == 1:
            return
        with self._exchange():
            for group in _chunks(parameters):
                _add_up(group)

    def _reasons(self, mine: Exception | None) -> list[Exception]:
        """Exchange what failed where; all processes call it. Return the other processes' failures."""
        given = None if mine is None else (f"{type(mine).__name__}: {mine}", out_of_memory(mine))
        gathered: list[tuple[str, bool] | None] = [None] * self.count
        torch.distributed.all_gather_object(gathered, given)
        return [
            (torch.OutOfMemoryError if no_room else PeerError)(f"process {rank}: {text}")
            for rank, found in enumerate(gathered)
            if found and rank != self.rank
            for text, no_room in [found]
        ]

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Mark the processes as apart when a message fails: the others are not where this one is any more."""
        try:
            yield
        except Exception as error:
            self.apart = True
            raise LostProcessError(f"{type(error).__name__}: {error}") from error


def _add_up(group: Sequence[Parameter]) -> None:
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
    size = 0
    for parameter in parameters:
        if group and size + parameter.numel() > CHUNK:
            yield group
            group, size = [], 0
        group.append(parameter)
        size += parameter.numel()
    if group:
        yield group
