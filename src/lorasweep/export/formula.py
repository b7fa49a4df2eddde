"""Text that a config resolves when it is composed, and text that it must take as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Formula(str):
    """Text such as `${native:1024}` that is meant to be resolved."""


def escaped(value: Any) -> Any:
    """Return a value in which `${...}` is text: a stranger's must not read our environment; a `Formula` stays one."""
    if isinstance(value, Mapping):
        return {key: escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [escaped(inner) for inner in value]
    if isinstance(value, Formula):
        return str(value)
    return value.replace("${", "\\${") if isinstance(value, str) else value
