"""Where a base's parts are: those that nothing needs at the moment wait in the CPU's memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

Move = Callable[[nn.Module, torch.device], object]
CPU = torch.device("cpu")


class Offloader:
    """The parts of a base on a device, some of them offloaded to the CPU's memory until they are needed.

    Args:
        parts: by name.
        device: where they compute.
        move: puts a part on a device.
    """

    def __init__(self, parts: Mapping[str, nn.Module], device: torch.device, move: Move = nn.Module.to) -> None:
        self._parts, self._device, self._move = parts, device, move
        self._offloaded: set[str] = set()

    def offload(self, names: Collection[str]) -> None:
        """Keep the parts `names` in the CPU's memory from now on, and no others; on a CPU nothing changes.

        A part with weights that are being trained stays: its optimizer holds tensors on the device.
        """
        if self._device.type == "cpu":
            return
        chosen = {name for name in names if not any(weight.requires_grad for weight in self._parts[name].parameters())}
        self._put(chosen - self._offloaded, CPU)  # first, so that there is room for the others
        self._offloaded |= chosen
        self._load(self._offloaded - chosen)
        torch.cuda.empty_cache()  # else what they held would stay in pieces of their sizes; does nothing without CUDA

    @contextmanager
    def onload(self, *names: str) -> Iterator[None]:
        """Have parts on the device for as long as the context lasts; those that were offloaded go back after it."""
        coming = self._offloaded & set(names)
        self._load(coming)
        try:
            yield
        finally:
            self._put(coming, CPU)
            self._offloaded |= coming

    def _load(self, names: Collection[str]) -> None:
        """Put parts on the device, all or none: half a part there would count as offloaded and stay for good."""
        try:
            self._put(names, self._device)
        except BaseException:  # out of memory, say
            self._put(names, CPU)
            raise
        self._offloaded -= set(names)

    def _put(self, names: Collection[str], device: torch.device) -> None:
        for name in sorted(names):
            self._move(self._parts[name], device)
