"""Intervals over prompts and seeds, and the flat names of figures."""

import numpy as np
import pytest

from lorasweep.features.lazy_image import LazyImage
from lorasweep.metrics.evidence import Evidence, References, SampleImage
from lorasweep.metrics.figures import Figures, Reading, flat
from lorasweep.metrics.intervals import Estimate, difference, with_interval
from lorasweep.pictures.prompts import Prompt


def test_the_interval_is_over_prompts_and_seeds_both() -> None:
    """Prompts that differ much and seeds that do not: the interval is that of the prompts, as drawn by hand."""
    draws = np.random.default_rng(1)
    table = draws.normal(size=(6, 1)) + 0.01 * draws.normal(size=(6, 4))
    found = with_interval(table)
    by_hand = [table[draws.integers(0, 6, 6)].mean() for _ in range(4000)]
    assert found.value == pytest.approx(table.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])), abs=0.06)
    turned = with_interval(table.T)
    assert (turned.low, turned.high) == pytest.approx((found.low, found.high), abs=0.06), "seeds count as prompts do"
    assert with_interval(table) == found, "always the same draws"


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    draws = np.random.default_rng(2)
    base = draws.normal(size=(5, 3))
    moved = difference(base + 0.5, base)
    assert moved == Estimate(pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))
    alone = with_interval(base)
    assert alone.high is not None and alone.low is not None and alone.high - alone.low > 0.5


def test_one_sample_has_no_interval_and_prompts_of_uneven_seeds_have() -> None:
    assert with_interval(np.array([[0.3]])) == Estimate(0.3)
    only_seeds = with_interval(np.array([[0.1, 0.2, 0.6]]))
    assert only_seeds.low is not None and 0.1 <= only_seeds.low < 0.3 < only_seeds.high <= 0.6
    image = LazyImage("x", lambda: None)  # type: ignore[arg-type, return-value]
    samples = [SampleImage(image, Prompt(text, seed, True)) for text, seed in (("a", 1), ("b", 1), ("a", 2))]
    evidence = Evidence(samples, (), References())
    assert evidence.table({0: 1.0, 1: 2.0, 2: 3.0}).tolist() == [[1], [3], [2]]
    assert evidence.table({0: 1.0, 2: 3.0}).tolist() == [[1, 3]]


def test_flat_names() -> None:
    first = Figures(value=Estimate(0.5, 0.4, 0.6), n=8, base=0.3, delta=Estimate(0.2), more={"masked": 0.7})
    readings = [
        Reading("image/fidelity", "toy", True, first),
        Reading("image/fidelity", "dinov2", False, Figures(value=Estimate(0.9), n=8)),
    ]
    assert flat(readings) == {
        "image/fidelity": 0.5,
        "image/fidelity_low": 0.4,
        "image/fidelity_high": 0.6,
        "image/fidelity_delta": 0.2,
        "image/fidelity_n": 8,
        "image/fidelity_masked": 0.7,
        "image/fidelity-dinov2": 0.9,
        "image/fidelity_n-dinov2": 8,
    }
