"""How trials and their parameters are written for people: the same in lines, tables and plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorasweep.search.stored import from_stored, stored_text
from lorasweep.text.names import short_names
from lorasweep.text.shell import shell_quoted
from lorasweep.text.values import number


def parameter(value: Any) -> str:
    """Return a stored parameter as a reader takes it: `8`, `3.1e-4`, `cosine`, `[1, 2]`, `0.5 x lr`."""
    return number(from_stored(value))


def settings(params: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Return parameters in a line: `rank 8, lr 3.1e-4`.

    Args:
        params: values by key.
        names: how the keys are written; None finds short ones among `params`.
    """
    names = short_names(params) if names is None else names
    return ", ".join(f"{names.get(key, key)} {parameter(value)}" for key, value in params.items())


def trial_name(number: int, version: str | None) -> str:
    """Return how a trial is called in a line: `trial 3 (FuzzyBear v9)`."""
    return f"trial {number} ({version})" if version else f"trial {number}"


def as_overrides(params: Mapping[str, Any]) -> str:
    """Return parameters as Hydra's command line takes them, exact and quoted for a shell: `rank=8 lr=0.00031`."""
    return " ".join(shell_quoted(f"{key}={stored_text(value)}") for key, value in params.items())
