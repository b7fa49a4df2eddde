"""How numbers, durations and parameters are written for people: the same in lines, tables and plots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lorasweep.sweeping.grammar import readable, stored_text
from lorasweep.text import shell_quoted


def score(value: float) -> str:
    """Return an objective's value: `0.7812`; four significant digits where four decimals would not show it."""
    return f"{value:.4f}" if value == 0 or 1e-2 <= abs(value) < 1e4 else f"{value:.4g}"


def number(value: Any) -> str:
    """Return a parameter's value as stored: `8`, `3.1e-4`, `0.25`, `cosine`, `true`, `null`, `[1, 2]`, `0.5 x lr`."""
    value = readable(value)
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


def duration(seconds: float) -> str:
    """Return a duration: `0.4 s`, `21 s`, `2 min 41 s`, `3 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def roughly(seconds: float) -> str:
    """Return an estimate without false precision: `about 20 s`, `about 2 min`, `about 3 h 10 min`."""
    if seconds < 50:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    minutes = round(minutes / 10) * 10
    return f"about {minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return for each key the shortest end of it that no other key has: `network.rank` -> `rank`.

    Keys are cut at their dots only: `optimizer.lr` and `text.lr` stay whole, since `lr` would be both.
    """
    keys = list(dict.fromkeys(keys))
    tails = {key: [key.split(".", cut)[cut] for cut in range(key.count("."), -1, -1)] for key in keys}
    count: dict[str, int] = {}
    for tail in (tail for several in tails.values() for tail in several):
        count[tail] = count.get(tail, 0) + 1
    # A whole key may also be the end of a longer one; it keeps its name, and the longer one gets more of its own.
    return {key: next((tail for tail in tails[key] if count[tail] == 1), key) for key in keys}


def settings(params: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Return parameters in a line: `rank 8, lr 3.1e-4`.

    Args:
        params: values by key.
        names: how the keys are written; None finds short ones among `params`.
    """
    names = short_names(params) if names is None else names
    return ", ".join(f"{names.get(key, key)} {number(value)}" for key, value in params.items())


def trial_name(number: int, version: str | None) -> str:
    """Return how a trial is called in a line: `trial 3 (FuzzyBear v9)`."""
    return f"trial {number} ({version})" if version else f"trial {number}"


def overrides(params: Mapping[str, Any]) -> str:
    """Return parameters as Hydra's command line takes them, exact and quoted for a shell: `rank=8 lr=0.00031`."""
    return " ".join(shell_quoted(f"{key}={stored_text(value)}") for key, value in params.items())
