"""Means of what steps measure: of rows and of epochs, whatever happens in between."""

from __future__ import annotations

import json
import math

import pytest

from lorasweep.training.reporting.means import StepMeans

LOSSES = [0.7, 0.1, 0.4, 0.30000000000000004, 0.9]


def test_an_epoch_is_the_mean_of_its_steps_however_often_it_is_logged() -> None:
    means = StepMeans({})
    for step, loss in enumerate(LOSSES, start=1):
        means.add(loss, 2 * loss, 1.0)
        if step in (1, 3):
            means.take_row()
    assert means.epoch_loss() == pytest.approx(sum(LOSSES) / 5)
    expected = {"train/loss": 0.6, "train/grad_norm": 1.2, "time/seconds_per_step": 1.0, "train/skipped": 0.0}
    assert means.take_row() == pytest.approx(expected)
    means.begin_epoch()
    means.add(0.5, 1.0, 1.0)
    assert means.epoch_loss() == 0.5


def test_steps_that_were_skipped_are_counted_and_have_no_norm() -> None:
    means = StepMeans({"row": [1.0, 3.0, 1.0], "row_steps": 1})  # as it was saved when nothing was counted
    means.add(1.0, math.inf, 1.0, skipped=True)
    means.add(1.0, 5.0, 1.0)
    means.add(1.0, math.inf, 1.0, skipped=True)
    row = means.take_row()
    assert (row["train/skipped"], row["train/grad_norm"], row["train/loss"]) == (0.5, 4.0, 1.0)
    means.add(1.0, math.inf, 1.0, skipped=True)
    assert math.isnan(means.take_row()["train/grad_norm"])


@pytest.mark.parametrize("stop", range(1, 5))
def test_an_interruption_changes_no_bit(stop: int) -> None:
    straight, broken = StepMeans({}), StepMeans({})
    for loss in LOSSES[:stop]:
        straight.add(loss, loss, 0.1)
        broken.add(loss, loss, 0.1)
    broken = StepMeans(json.loads(json.dumps(broken.state())))
    for loss in LOSSES[stop:]:
        straight.add(loss, loss, 0.1)
        broken.add(loss, loss, 0.1)
    assert (straight.epoch_loss(), straight.take_row()) == (broken.epoch_loss(), broken.take_row())
