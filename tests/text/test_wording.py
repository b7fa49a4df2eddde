"""Numbers, durations and parameters in words."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lorasweep.search.wording import as_overrides, settings, trial_name
from lorasweep.text.durations import duration, roughly
from lorasweep.text.names import short_names
from lorasweep.text.values import number, score


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8, "8"),
        (0.00031, "3.1e-4"),
        (6.2085e-6, "6.21e-6"),
        (0.25, "0.25"),
        (0.1 + 0.2, "0.3"),
        (150000.0, "1.5e5"),
        (12345.6, "12346"),
        (0.0, "0"),
        (True, "true"),
        (None, "null"),
        ("cosine", "cosine"),
        ([1, 0.5, "a"], "[1, 0.5, a]"),
        (float("inf"), "inf"),
    ],
)
def test_parameters_are_short(value, text):
    assert number(value) == text


def test_scores_have_four_digits_that_tell():
    assert [score(value) for value in (0.78123, -0.5, 0.0, 0.00012345, 123456.0)] == [
        "0.7812",
        "-0.5000",
        "0.0000",
        "0.0001234",
        "1.235e+05",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (161, "2 min 41 s"), (11100, "3 h 05 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "about 5 s"),
        (21, "about 20 s"),
        (50, "about 1 min"),
        (125, "about 2 min"),
        (3590, "about 1 h"),
        (11500, "about 3 h 10 min"),
    ],
)
def test_estimates_are_round(seconds, text):
    assert roughly(seconds) == text


def test_names_are_as_short_as_they_can_be_told_apart():
    keys = ["network.rank", "optimizer.lr", "optimizer.text_encoder_lr", "data.lr", "scheduler", "a.scheduler"]
    assert list(short_names(keys).values()) == [
        "rank",
        "optimizer.lr",
        "text_encoder_lr",
        "data.lr",
        "scheduler",
        "a.scheduler",
    ]


def test_settings_and_names_of_trials():
    assert settings({"network.rank": 8, "optimizer.lr": 3.1e-4}) == "rank 8, lr 3.1e-4"
    assert settings({"x": 1}, {"x": "the x"}) == "the x 1"
    assert trial_name(3, "FuzzyBear v9") == "trial 3 (FuzzyBear v9)" and trial_name(3, None) == "trial 3"


VALUES = {
    "word": "cosine",
    "path": "v1.5/x-y",
    "number": "12",
    "exponent": "1e-4",
    "bool": "True",
    "nothing": "null",
    "odd": "it's a, b=${x} [c] {d}",
    "slash": "a\\",
    "quote": "\\'",
    "empty": "",
    "space": "two words",
    "integer": -3,
    "float": 1.2345678901234567e-05,
    "yes": True,
    "none": None,
    "list": [1, 2.5, "x", "2"],
}


@pytest.mark.parametrize("key", VALUES)
def test_hydra_reads_overrides_back_with_their_types(key):
    (override,) = OverridesParser.create().parse_overrides(shlex.split(as_overrides({key: VALUES[key]})))
    value = override.value()
    if isinstance(value, list):
        value = [str(part) if not isinstance(part, int | float) else part for part in value]
    value = value.text if hasattr(value, "text") else value
    assert value == VALUES[key] and type(value) is type(VALUES[key])
