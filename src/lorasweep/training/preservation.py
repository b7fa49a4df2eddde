"""Differential output preservation: what the adapter learns under its trigger must not leak into the trigger's class.

Beside the training step, the same noisy images are predicted once more with a word such as "person" in the trigger's
place, with the adapter and by the bare base, and the difference is a loss of its own. (The method of ostris'
ai-toolkit.) It costs one more forward and backward pass and one forward pass without gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lorasweep.data.captions import has_trigger, of_class
from lorasweep.families.base import TextEmbeddings
from lorasweep.metrics.heldout import Predict
from lorasweep.process.noise import Noised
from lorasweep.transfer import sent


def preservation_losses(
    captions: list[str],
    noised: Noised,
    size_ids: Tensor,
    *,
    company: Sequence[str] = (),
    trigger: str,
    word: str,
    embed: Callable[[list[str], list[str]], TextEmbeddings],
    predict: Predict,
    bare: Callable[[], AbstractContextManager[None]],
) -> Tensor:
    """Return how far each row's prediction of the class is from the bare base's: the mean square, (B,) in fp32.

    Rows without the trigger (regularisation images, dropped captions) have nothing to keep apart from: theirs is 0.
    Call it before the training step's own forward: leaving the adapter off may change weights in place.

    Args:
        captions: B texts, as they are trained. noised: what is predicted from. size_ids: (B, 6).
        company: captions of the whole batch, where this is a share of one: all are padded to one length.
        trigger: what is replaced in the captions. word: what replaces it.
        embed: (captions, company) -> embeddings, with the adapter as it is at the time. predict: likewise, as
            `Base.predict`. bare: the context without adapter.
    """
    losses = torch.zeros(len(captions), device=noised.noisy.device)
    rows = [row for row, caption in enumerate(captions) if has_trigger(caption, trigger)]
    if not rows:
        return losses
    texts = [of_class(captions[row], trigger, word) for row in rows]
    others = [of_class(caption, trigger, word) for caption in company if has_trigger(caption, trigger)]

    index = sent(torch.tensor(rows), losses.device)

    def prediction() -> Tensor:
        return predict(noised.noisy[index], noised.timesteps[index], embed(texts, others), size_ids[index]).float()

    with torch.no_grad(), bare():
        kept = prediction()
    difference = prediction() - kept
    return losses.index_put((index,), (difference**2).mean(dim=(1, 2, 3)))
