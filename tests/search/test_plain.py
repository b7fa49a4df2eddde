"""Numbers as NumPy and PyTorch give them."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorasweep.search.plain import as_numbers, as_plain


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        np.float32(0.5),
        np.float64(0.5),
        np.array(0.5),
        np.array([0.5]),
        torch.tensor(0.5),
        torch.tensor([0.5], requires_grad=True),
        [np.float16(0.5)],
        (torch.tensor(0.5),),
        Fraction(1, 2),
        Decimal("0.5"),
        "0.5",
    ],
)
def test_one_number_of_any_kind(value: Any) -> None:
    assert as_numbers(value, 1) == [0.5]


@pytest.mark.parametrize("value", [np.int64(3), np.bool_(True), 3, True, torch.tensor(3)])
def test_whole_numbers_are_numbers(value: Any) -> None:
    assert as_numbers(value, 1) == [float(value)] and type(as_numbers(value, 1)[0]) is float


@pytest.mark.parametrize(
    "value", [[1, 2.0], (np.float32(1), torch.tensor(2)), np.array([1, 2]), torch.tensor([1.0, 2.0])]
)
def test_several_numbers_of_any_kind(value: Any) -> None:
    assert as_numbers(value, 2) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "count", "told"),
    [
        (None, 1, "it returned None: None is no number"),
        ("good", 1, "it returned 'good': 'good' is no number"),
        ({"loss": 1}, 1, "it returned {'loss': 1}: {'loss': 1} is no number"),
        ([1, 2], 1, "it returned [1, 2], not one number"),
        (0.5, 2, "it returned 0.5, not 2 numbers"),
        (1j, 1, "it returned 1j: 1j is no number"),
        ([1, None], 2, "it returned [1, None]: None is no number"),
    ],
)
def test_what_is_no_number_is_told_in_words(value: Any, count: int, told: str) -> None:
    with pytest.raises(ValueError) as wrong:
        as_numbers(value, count)
    assert str(wrong.value) == told


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ValueError, match="…") as wrong:
        as_numbers(np.zeros(1000), 1)
    assert len(str(wrong.value)) < 120


def test_whatever_is_noted_can_be_kept() -> None:
    noted = as_plain(
        {
            "loss": np.float32(0.5),
            "counts": np.array([1, 2]),
            3: torch.tensor([[1.5]]),
            "folder": Path("outputs/bear"),
            "tags": {"a"},
            "nested": [{"rank": np.int64(8)}, None, True],
        }
    )
    assert json.loads(json.dumps(noted)) == {
        "loss": 0.5,
        "counts": [1, 2],
        "3": [[1.5]],
        "folder": "outputs/bear",
        "tags": ["a"],
        "nested": [{"rank": 8}, None, True],
    }
