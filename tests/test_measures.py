"""Which of two values is called better: beyond the margin, and never where both read the same."""

from __future__ import annotations

import math

import pytest

from lorasweep.schema.measures import METRICS, verdict


@pytest.mark.parametrize("name", METRICS)
def test_beyond_the_margin_the_direction_decides_and_within_it_nothing_is_better(name: str) -> None:
    measure = METRICS[name]
    lower, upper = ("better", "worse") if measure.direction == "minimize" else ("worse", "better")
    scale = 0.5 if measure.relative else 1.0
    outside, inside = 0.5 - 1.1 * measure.margin * scale, 0.5 - 0.9 * measure.margin * scale
    assert (verdict(name, outside, 0.5), verdict(name, 0.5, outside)) == (lower, upper)
    assert verdict(name, inside, 0.5) == verdict(name, 0.5, inside) == "same"
    assert verdict(name, 0.5, 0.5) == "same"


def test_what_reads_the_same_is_the_same_however_small() -> None:
    assert verdict("image/adherence", 0.22904, 0.22896) == "same"
    assert verdict("val/loss", 0.00001, 0.00002) == "same"  # both read 0.0000


def test_a_similarity_below_zero_has_its_margin_too() -> None:
    assert verdict("image/fidelity", -0.5, -0.501) == "same"
    assert verdict("image/fidelity", -0.1, -0.5) == "better"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_gets_no_word(value: float) -> None:
    assert verdict("val/loss", value, 0.5) == verdict("val/loss", 0.5, value) == ""
