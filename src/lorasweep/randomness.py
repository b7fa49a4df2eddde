"""Every random draw in the program comes from here.

A draw is a *function* of `(seed, purpose, index...)`, never of what was drawn before it. That is what makes resume
exact without saving any generator state, makes the number of workers or processes irrelevant, and lets two versions
that differ in rank only see the same noise.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Index = int | str


@dataclass(frozen=True)
class Row:
    """One draw of one image; it indexes every random decision about that draw.

    Args:
        item: number of the image in the dataset.
        repeat: 0 .. repeats - 1.
        epoch: 0-based.
    """

    item: int
    repeat: int
    epoch: int


def seed_for(seed: int, purpose: str, *index: Index) -> int:
    """Return a 63-bit integer that depends on all arguments and on nothing else.

    Args:
        seed: the run's seed.
        purpose: what is drawn, in words ("noise", "shuffle", ...): different purposes never share draws.
        index: where it is drawn (step, row, epoch, module name, ...).
    """
    text = "\x1f".join([str(seed), purpose, *(f"{type(part).__name__}:{part}" for part in index)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def random_for(seed: int, purpose: str, *index: Index) -> random.Random:
    """Return a fresh Python generator for this draw."""
    return random.Random(seed_for(seed, purpose, *index))


def generator(seed: int, purpose: str, *index: Index, device: str = "cpu") -> torch.Generator:
    """Return a fresh torch generator for this draw.

    Draws are made on the CPU by default and moved afterwards, so that a GPU run and a CPU run see the same noise.
    """
    import torch

    return torch.Generator(device=device).manual_seed(seed_for(seed, purpose, *index))


def permutation(count: int, seed: int, purpose: str, *index: Index) -> list[int]:
    """Return a shuffled `list(range(count))`."""
    order = list(range(count))
    random_for(seed, purpose, *index).shuffle(order)
    return order


@contextmanager
def global_draws(seed: int, purpose: str, *index: Index) -> Iterator[None]:
    """Give library code that insists on torch's global generator (dropout layers) draws of this kind.

    The global state of before is put back on leaving, on the CPU and on every CUDA device in use.
    """
    import torch

    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_for(seed, purpose, *index))
        yield
