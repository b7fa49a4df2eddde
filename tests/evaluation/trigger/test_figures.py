"""Shares and differences of made-up scores."""

from __future__ import annotations

import numpy as np
import pytest

from lorasweep.evaluation.trigger.figures import Scores, figures_of, table_of

BASE = np.array([[0.10, 0.12, 0.09, 0.11], [0.30, 0.31, 0.29, 0.33], [0.20, 0.22, 0.19, 0.21]])
NOISE = np.array([[0.02, -0.02, 0.01, -0.01], [-0.01, 0.01, 0.02, -0.02], [0.01, 0.02, -0.02, -0.01]])


def test_a_share_is_of_what_the_trigger_adds_at_the_start() -> None:
    start = Scores(BASE + 0.4 + NOISE, BASE)
    absent = Scores(BASE + 0.6, BASE + 0.5)
    same = Scores(BASE + 0.4 + NOISE[::-1], BASE)
    found = {
        each.position: each for each in figures_of({("start", 1.0): start, ("absent", 1.0): absent, ("end", 1.0): same})
    }
    assert found["absent"].delta.value == pytest.approx(0.1), "the base at the same prompts, not that at the start"
    assert found["absent"].share and found["absent"].share.value == pytest.approx(0.25)
    assert found["absent"].behind.above_zero and found["absent"].behind.value == pytest.approx(0.3)
    assert not found["end"].behind.above_zero
    assert found["start"].share and (found["start"].share.low, found["start"].share.high) == (1, 1)
    assert found["start"].fidelity == pytest.approx(BASE.mean() + 0.4)


def test_nothing_is_a_share_of_what_may_be_nothing() -> None:
    [start] = figures_of({("start", 1.0): Scores(BASE + NOISE, BASE)})
    assert start.share is None and not start.delta.above_zero


def test_prompts_of_different_numbers_of_seeds_are_one_column() -> None:
    assert table_of([0, 0, 1, 1], [1, 2, 3, 4]).tolist() == [[1, 2], [3, 4]]
    assert table_of([0, 1, 1], [1, 2, 3]).tolist() == [[1], [2], [3]]
