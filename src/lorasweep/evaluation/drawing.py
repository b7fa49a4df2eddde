"""Draws what was never drawn: images of many requests, on one base, with or without weights on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby

import torch
from accelerate import Accelerator
from PIL import Image

from lorasweep.evaluation.cell_keys import BaseKey, CellKey, Request
from lorasweep.evaluation.cells import Cell, Cells
from lorasweep.evaluation.weights import WeightsFile, all_on, applied
from lorasweep.families.base import Base, Sampler
from lorasweep.families.device import open_accelerator
from lorasweep.families.opened import OpenedBase
from lorasweep.randomness import generator
from lorasweep.schema import Config

BATCH = 4  # images denoised side by side: enough to keep a GPU busy, few enough for 12 GB at 1024 px

Advance = Callable[[], None]
"""Called after each image."""


def denoise(base: Sampler, requests: Sequence[Request], max_tokens: int) -> list[Image.Image]:
    """Return the images of some requests, drawn side by side; each begins with the noise of its own seed.

    Args:
        base: with whatever is on it.
        requests: alike in all but their prompts.
        max_tokens: that are read of a prompt.
    """
    first = requests[0]
    shape = base.latent_shape(first.width, first.height)
    noise = [torch.randn(shape, generator=generator(each.prompt.seed, "sample")) for each in requests]
    return base.sample(
        [each.prompt.text for each in requests],
        negative_prompt=first.negative_prompt,
        latents=torch.stack(noise),
        steps=first.steps,
        guidance=first.guidance,
        max_tokens=max_tokens,
    )


def batches(requests: Sequence[Request], size: int = BATCH) -> Iterator[list[Request]]:
    """Yield requests in groups that can be drawn side by side, in their order as far as that allows.

    Args:
        requests: of any sizes.
        size: of a group at most.
    """
    ordered = sorted(requests, key=lambda request: repr(request.batchable))
    for _, alike in groupby(ordered, key=lambda request: request.batchable):
        found = list(alike)
        for start in range(0, len(found), size):
            yield found[start : start + size]


class Drawer:
    """Draws on one base, into the cells of an output root.

    Args:
        base: loaded, with nothing on it.
        cells: where images are kept.
        accelerator: its precision.
        config: that the base was loaded for.

    Attributes:
        base: the base that is drawn on.
        cells: where images are kept.
        base_key: what the base is to a key.
    """

    def __init__(self, base: Base, cells: Cells, accelerator: Accelerator, config: Config) -> None:
        self.base, self.cells = base, cells
        self._accelerator = accelerator
        self.base_key = BaseKey.of(base, config, accelerator.mixed_precision)

    @classmethod
    def open(cls, config: Config, opened: OpenedBase) -> Drawer:
        """Have the base of a config loaded, to draw into the cells of its output root.

        Args:
            config: checked.
            opened: gives the base, and keeps it.

        Raises:
            UserError: the base cannot be had.
        """
        accelerator = open_accelerator(config.training)
        return cls(opened.of(config), Cells(config.output_root), accelerator, config)

    def autocast(self) -> AbstractContextManager[None]:
        """Return a context that computes in the drawer's precision."""
        found: AbstractContextManager[None] = self._accelerator.autocast()
        return found

    def keys(self, requests: Sequence[Request], weights: Sequence[tuple[WeightsFile, float]] = ()) -> list[CellKey]:
        """Return all that decides the images of some requests.

        Args:
            requests: what is asked for.
            weights: files on the base, with their strengths.
        """
        named = [applied(each, strength) for each, strength in weights]
        return [self.base_key.key(request, named) for request in requests]

    def missing(self, requests: Sequence[Request], weights: Sequence[tuple[WeightsFile, float]] = ()) -> int:
        """Return how many images `draw` would draw of these, the bare base's among them."""
        wanted = {each.digest: each for key in self.keys(requests, weights) for each in (key, key.bare)}
        return sum(self.cells.find(key) is None for key in wanted.values())

    def draw(
        self,
        requests: Sequence[Request],
        weights: Sequence[tuple[WeightsFile, float]] = (),
        advance: Advance = lambda: None,
    ) -> list[Cell]:
        """Return the cells of some requests, in their order; what was never drawn is drawn now.

        A batch is on the disk before the next one begins. The bare base's images are drawn too, as every cell says how
        far it is from these.

        Args:
            requests: what is asked for.
            weights: files on the base, with their strengths; none draws the bare base.
            advance: called after each image that was drawn.

        Raises:
            UserError: a file cannot be put on the base at its strength.
            OSError: the disk is full or the like.
        """
        used = [(each, strength) for each, strength in weights if strength]
        if used:
            self.draw(requests, (), advance)
        by_request = dict(zip(requests, self.keys(requests, used), strict=True))
        missing = [request for request, key in by_request.items() if self.cells.find(key) is None]
        if missing:
            with all_on(self.base, used) as base:
                for batch in batches(missing):
                    self._draw(base, batch, by_request, advance)
        found = [self.cells.find(by_request[request]) for request in requests]
        return [cell for cell in found if cell is not None]

    def _draw(self, base: Sampler, batch: list[Request], keys: dict[Request, CellKey], advance: Advance) -> None:
        started = time.perf_counter()
        with self.autocast():
            images = denoise(base, batch, self.base_key.max_tokens)
        seconds = (time.perf_counter() - started) / len(batch)
        for request, image in zip(batch, images, strict=True):
            self.cells.add(keys[request], image, seconds)
            advance()


def changed_nothing(cells: Sequence[Cell]) -> bool:
    """Return whether weights were on the base, and every picture is the base's all the same."""
    return bool(cells) and all(cell.key.applied and cell.distance == 0 for cell in cells)
