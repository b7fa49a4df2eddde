"""After which epochs a training draws its sample images, where `evaluation.budget` bounds what measuring costs.

The cost is counted in rows that go through the denoiser, which everything here spends nearly all of its time on: a step
counts three times its rows, for the backward pass. A count is the same on every machine, so that a version that is
continued elsewhere, and every trial of a search, is measured after the same epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

from lorasweep.schema import Config

BACKWARD = 3
"""A training step in forward passes: one forward, and a backward of about two."""


def epochs_with_images(config: Config, epoch_ends: Sequence[int], heldout: int, images: int) -> list[int]:
    """Return the epochs after which images are drawn: all that are due, or as many of them as the budget pays for.

    The last one is always among them; the others are spread evenly.

    Args:
        config: of the version.
        epoch_ends: the optimizer steps at which its epochs end.
        heldout: images that the loss is measured on.
        images: that are drawn of an epoch.
    """
    last_of = {step: epoch for epoch, step in enumerate(epoch_ends, start=1)}  # several may end at one step
    epochs, every, budget = list(last_of.values()), config.sampling.every_epochs, config.evaluation.budget
    if not every or not images:
        return []
    before = [0, *epochs]
    due = [e for e, b in zip(epochs, before, strict=False) if e // every > b // every or e == epochs[-1]]
    if budget is None:
        return due
    training, evaluation, sampling = config.training, config.evaluation, config.sampling
    steps = epoch_ends[-1] if epoch_ends else 0
    trained = BACKWARD * steps * training.batch_size * training.gradient_accumulation
    loss = min(heldout, evaluation.max_images) * evaluation.timesteps if evaluation.heldout_loss else 0
    per_epoch = images * sampling.steps * (2 if sampling.guidance > 1 else 1)
    left = budget * trained - loss * (1 + len(epochs) // evaluation.every_epochs) - per_epoch  # the base's too
    count = min(len(due), max(1, int(left // per_epoch)))
    return sorted({due[round((index + 1) * len(due) / count) - 1] for index in range(count)})


def explanation(config: Config, epochs: Sequence[int]) -> str:
    """Return in a line what is measured when.

    Args:
        config: of the version, with a budget.
        epochs: as `epochs_with_images` gives them.
    """
    every = config.evaluation.every_epochs
    loss = f"the held-out loss after every {'epoch' if every == 1 else f'{every} epochs'}"
    after = f"images after epoch{'s' if len(epochs) > 1 else ''} {', '.join(map(str, epochs))}"
    parts = [loss] if config.evaluation.heldout_loss else []
    return (
        f"measured: {' and '.join([*parts, after] if epochs else parts)} (evaluation.budget="
        f"{config.evaluation.budget:g} of the training's passes through the denoiser)"
    )
