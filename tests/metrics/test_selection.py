from dataclasses import dataclass, field

import pytest

from lorasweep.metrics.selection import best_epoch


@dataclass
class Epoch:
    epoch: int
    metrics: dict[str, float] = field(default_factory=dict)


def epochs(*values: float | None) -> list[Epoch]:
    return [Epoch(i + 1, {} if value is None else {"m": value}) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ((0.5, 0.3, 0.4), "minimize", 2),
        ((0.5, 0.3, 0.4), "maximize", 1),
        ((0.5, 0.3, 0.3), "minimize", 2),  # a tie goes to the earlier epoch
        ((0.1, 0.7, 0.7), "maximize", 2),
        ((float("nan"), 0.4, 0.3), "minimize", 3),
        ((float("-inf"), 0.4, 0.5), "minimize", 2),
        ((0.4, float("inf"), 0.5), "maximize", 3),
        ((None, 0.4, None), "minimize", 2),  # evaluated every other epoch
    ],
)
def test_best_finite_value(values, direction, expected):
    assert best_epoch(epochs(*values), "m", direction)[0] == expected


def test_the_reason_tells_metric_and_value():
    assert best_epoch(epochs(0.5, 0.31234), "m", "minimize")[1] == "lowest m: 0.3123"
    assert best_epoch(epochs(0.5, 0.25), "m", "maximize")[1] == "highest m: 0.5"


def test_without_the_metric_the_last_epoch_is_chosen_and_said_so():
    assert best_epoch(epochs(0.5, 0.3, 0.4), "other", "minimize") == (
        3,
        "the last epoch: no epoch has a finite other",
    )
    assert best_epoch(epochs(float("nan"), float("nan")), "m", "minimize")[0] == 2


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="no epoch"):
        best_epoch([], "m", "minimize")
    with pytest.raises(ValueError, match="'up'"):
        best_epoch(epochs(1.0), "m", "up")
