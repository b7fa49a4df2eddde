"""Differential output preservation: what the adapter learns under its trigger must not leak into the trigger's class.

Beside the training step, the same noisy images are predicted once more with a word such as "person" in the trigger's
place, with the adapter and by the bare base, and the difference is a loss of its own. (The method of ostris'
ai-toolkit.) It costs one more forward and backward pass and one forward pass without gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lorasweep.data.batch import Batch
from lorasweep.data.captions import has_trigger, of_class
from lorasweep.process.noise import Noised
from lorasweep.training.model import Model
from lorasweep.transfer import sent


def preservation_losses(model: Model, batch: Batch, noised: Noised, trigger: str, word: str) -> Tensor:
    """Return how far each row's prediction of the class is from the bare base's: the mean square, (B,) in fp32.

    Rows without the trigger (regularisation images, dropped captions) have nothing to keep apart from: theirs is 0.
    Call it before the training step's own forward: leaving the adapter off may change weights in place.

    Args:
        model: predicts, with the adapter and without.
        batch: B images with their captions.
        noised: what is predicted from.
        trigger: what is replaced in the captions.
        word: what replaces it.
    """
    losses = torch.zeros(len(batch.captions), device=noised.noisy.device)
    rows = [row for row, caption in enumerate(batch.captions) if has_trigger(caption, trigger)]
    if not rows:
        return losses
    texts = [of_class(batch.captions[row], trigger, word) for row in rows]
    facts = [batch.facts[row] for row in rows]
    others = [of_class(caption, trigger, word) for caption in batch.pad_to if has_trigger(caption, trigger)]
    index = sent(torch.tensor(rows), losses.device)
    noisy, timesteps = noised.noisy[index], noised.timesteps[index]

    def prediction() -> Tensor:
        return model.predict(noisy, timesteps, model.condition(texts, facts, others)).float()

    with torch.no_grad(), model.bare():
        kept = prediction()
    difference = prediction() - kept
    return losses.index_put((index,), (difference**2).mean(dim=(1, 2, 3)))
