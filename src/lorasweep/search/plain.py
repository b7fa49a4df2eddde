"""What a job gives, as Optuna can keep it: numbers of NumPy, PyTorch and their like become Python's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST = 80  # characters of a value in a message


def as_number(value: Any) -> float:
    """Return a number of any kind, an array or tensor of one included.

    Raises:
        ValueError: it is no number.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several
        raise ValueError(f"{_abbreviated(value)} is no number") from None


def as_numbers(value: Any, count: int) -> list[float]:
    """Return what a task returned as one number for each objective.

    Args:
        value: a number, or a list, tuple, array or tensor of numbers.
        count: of objectives.

    Raises:
        ValueError: it is none of these, or of another length.
    """
    plain = value.tolist() if hasattr(value, "tolist") else value
    items = plain if isinstance(plain, list | tuple) else [plain]
    if len(items) != count:
        wanted = "one number" if count == 1 else f"{count} numbers"
        raise ValueError(f"it returned {_abbreviated(value)}, not {wanted}")
    try:
        return [as_number(item) for item in items]
    except ValueError as error:
        raise ValueError(f"it returned {_abbreviated(value)}: {error}") from None


def as_plain(value: Any) -> Any:
    """Return a value as JSON can hold it: arrays as lists, paths and whatever else as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "tolist"):
        return as_plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(item) for item in value]
    return str(value)


def _abbreviated(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
