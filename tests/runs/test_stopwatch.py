"""Where the seconds of a version went."""

from __future__ import annotations

import time

import pytest

from lorasweep.runs.record import Seconds
from lorasweep.runs.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved on."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_start_of_the_program_counts_as_loading(clock: list[float]) -> None:
    stopwatch = Stopwatch(began=93.0)
    with stopwatch("load"):
        clock[0] += 2.0
    clock[0] += 1.0
    found = stopwatch.read()
    assert (found.total, found.load, found.train) == (10.0, 9.0, 0.0)


def test_a_later_version_of_the_same_process_starts_when_it_does(clock: list[float]) -> None:
    stopwatch = Stopwatch()
    stopwatch.continue_from(Seconds(total=5.0, load=1.0, train=3.0))
    with stopwatch("train"):
        clock[0] += 4.0
    found = stopwatch.read()
    assert (found.total, found.load, found.train) == (9.0, 1.0, 7.0)
