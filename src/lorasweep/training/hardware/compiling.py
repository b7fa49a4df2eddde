"""Compiling what a step repeats: the blocks of the denoiser, each by itself ("regional").

A small batch is bound by the launches of many small kernels, of which the blocks with their adapters have most. The
block is compiled once and used for all of its copies, in a fraction of the time that the whole model would take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

BACKEND = "inductor"
"""torch.compile's own default."""

LIMIT = 64
"""Uses of a block that are compiled. Widths, lengths of captions, a batch of one image, dropouts and the bare base each
have their own; beyond torch's own limit, 8 for all blocks together, the rest would run as written without a word."""


class CompiledBlocks:
    """Blocks of a denoiser, compiled in training steps alone.

    Measuring and sampling run them as written: each of their uses would be compiled too, for a few forwards.

    Args:
        blocks: of a base, with the adapter in place.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        self._calls: dict[nn.Module, Callable[..., Any]] = {}
        try:
            for block in blocks:
                block.compile(backend=BACKEND)
                self._calls[block] = block._compiled_call_impl
        finally:  # where one cannot be compiled, the others of a base that lives on run as written
            self._switch(on=False)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run the blocks compiled for as long as the context lasts; each use compiles itself at its first forward."""
        import torch._dynamo

        config: Any = torch._dynamo.config
        with config.patch(recompile_limit=LIMIT):
            self._switch(on=True)
            try:
                yield
            finally:
                self._switch(on=False)

    def forget(self) -> None:
        """Drop what was compiled: for the next version's adapter it is of no use, and would count all the same."""
        import torch._dynamo

        torch._dynamo.reset()
        self._calls.clear()

    def _switch(self, *, on: bool) -> None:
        for block, call in self._calls.items():
            block._compiled_call_impl = call if on else None  # what `nn.Module.compile` sets: it has no way back
