"""What an exception says, on one line."""

from __future__ import annotations


def message(error: BaseException) -> str:
    """Return the whole message of an exception on one line; nothing where it has none."""
    return " ".join(str(error).split())


def first_line(error: BaseException) -> str:
    """Return the kind of an exception and the first line of its message, of which further lines are detail."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
