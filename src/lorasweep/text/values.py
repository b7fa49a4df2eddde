"""Numbers and other values as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def written(value: Any) -> str:
    """Return a value as one writes it on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{','.join(map(written, value))}]" if isinstance(value, list) else str(value)


def size(count: float) -> str:
    """Return bytes as disks are sold: `626 kB`, `46 MB`, `1.2 GB`."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bytes_:
            value = count / bytes_
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count:.0f} B"


def few(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2 images`."""
    return f"{count} {noun}" + "s" * (count != 1)


def score(value: float) -> str:
    """Return an objective's value: `0.7812`; four significant digits where four decimals would not show it."""
    return f"{value:.4f}" if value == 0 or 1e-2 <= abs(value) < 1e4 else f"{value:.4g}"


def number(value: Any) -> str:
    """Return a parameter's value: `8`, `3.1e-4`, `0.25`, `cosine`, `true`, `null`, `[1, 2]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(number, value))}]"
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if value != 0 and not 1e-2 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
