"""What the data of a run comes out as: the batches that are trained on, the images that the loss is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lorasweep.families.base import ImageFacts
from lorasweep.randomness import Row


@dataclass(frozen=True)
class Batch:
    """What one forward pass is trained on.

    Attributes:
        rows: which draw each entry is.
        latents: (B, C, h, w) as the denoiser takes them, float32, on the CPU.
        captions: the text of each draw.
        facts: how each image was made to fit.
        weights: (B,) 1, or loss.prior_loss_weight for regularisation images.
        masks: (B, 1, h, w) which pixels count, in [0, 1], all of a regularisation image's; None without masks.
        whole: the batch that this is a share of, or None.
    """

    rows: list[Row]
    latents: Tensor
    captions: list[str]
    facts: list[ImageFacts]
    weights: Tensor
    masks: Tensor | None = None
    whole: Batch | None = None

    @property
    def pad_to(self) -> list[str]:
        """Captions of the whole batch, where this is a share of one: all are padded to one length."""
        return self.whole.captions if self.whole else []

    def share(self, rank: int, count: int) -> Batch:
        """Return the rows of one of `count` ranks: every `count`-th, from row `rank` on; maybe none."""
        mine = slice(rank, None, count)
        return Batch(
            rows=self.rows[mine],
            latents=self.latents[mine],
            captions=self.captions[mine],
            facts=self.facts[mine],
            weights=self.weights[mine],
            masks=None if self.masks is None else self.masks[mine],
            whole=self,
        )


class HeldoutImage(NamedTuple):
    """What the held-out loss is measured on.

    Attributes:
        latents: (C, h, w) as the denoiser takes them, float32, on the CPU.
        caption: the full one.
        facts: how it was made to fit.
    """

    latents: Tensor
    caption: str
    facts: ImageFacts
