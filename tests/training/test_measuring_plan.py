"""After which epochs images are drawn, under a budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorasweep.schema import Config
from lorasweep.training.measuring_plan import epochs_with_images, explanation


def config(budget: float | None, **sampling: object) -> Config:
    found = Config(name="A")
    found.training.batch_size = 2
    found.evaluation = replace(found.evaluation, budget=budget, timesteps=8, max_images=16, heldout_loss=True)
    found.sampling = replace(found.sampling, steps=30, guidance=5.0, every_epochs=1, **sampling)  # type: ignore[arg-type]
    return found


ENDS = [200 * epoch for epoch in range(1, 21)]


@pytest.mark.parametrize(
    ("budget", "epochs"),
    [
        (None, list(range(1, 21))),
        (0.5, list(range(1, 21))),  # 12,000 rows: 1,344 of the loss, 21 x 180 of images
        (0.1, [5, 10, 15, 20]),  # 2,400 rows: after the loss and the base's images 876, which pay for 4 x 180
        (0.001, [20]),
    ],
)
def test_the_budget_says_how_many_the_last_is_always_among_them(budget: float | None, epochs: list[int]) -> None:
    assert epochs_with_images(config(budget), ENDS, heldout=8, images=3) == epochs


def test_epochs_that_are_not_due_and_those_that_end_at_one_step() -> None:
    every_third = config(None)
    every_third.sampling.every_epochs = 3
    assert epochs_with_images(every_third, ENDS[:8], heldout=8, images=3) == [3, 6, 8]
    assert epochs_with_images(config(None), [1, 1, 2], heldout=8, images=3) == [2, 3]
    assert epochs_with_images(config(0.1), ENDS, heldout=8, images=0) == []
    every_third.sampling.every_epochs = 0
    assert epochs_with_images(every_third, ENDS, heldout=8, images=3) == []


def test_it_is_said_before_the_first_step() -> None:
    assert explanation(config(0.1), [5, 10]) == (
        "measured: the held-out loss after every epoch and images after epochs 5, 10 (evaluation.budget=0.1 of the "
        "training's passes through the denoiser)"
    )
