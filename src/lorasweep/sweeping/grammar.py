"""Values in Hydra's override grammar, and as Optuna stores them.

Optuna stores None, bool, int, float and str only. Any other choice (a list, a dict) is stored as `=` and its text in
the grammar, and so is a text that itself begins with `=`. A stored text with `=` in front is thus always an override's
right side, any other is itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

MARK = "="
"""In front of a stored choice: what follows is the choice as text in Hydra's grammar."""


def parsed(text: str) -> Override | str:
    """Return the override that a text is, or what is wrong with it."""
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        told = lines[0].partition("' : ")[2] or lines[0] if lines else "expected key=value"
        return f"this is not Hydra's grammar ({told.strip()}); text with commas or spaces is quoted: 'a, b'"


def element(value: Any) -> str:
    """Return a value as Hydra's grammar reads it back: of the same type, quoted only where it must be."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(element, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{element(key)}:{element(item)}" for key, item in value.items()) + "}"
    text = value.text if isinstance(value, QuotedString) else str(value)
    return text if _reads_as(text) else QuotedString(text, Quote.single).with_quotes()


def stored(value: Any) -> bool | int | float | str | None:
    """Return a choice in the form in which Optuna stores it."""
    plain = value.text if isinstance(value, QuotedString) else value
    if isinstance(plain, (list, tuple, Mapping)) or (isinstance(plain, str) and plain.startswith(MARK)):
        return MARK + element(plain)
    return plain


def stored_text(value: Any) -> str:
    """Return a stored value as the right side of an override."""
    return value[len(MARK) :] if isinstance(value, str) and value.startswith(MARK) else element(value)


def _reads_as(text: str) -> bool:
    """Whether a text without quotes is read as this text: not as a number or a sweep, inside a list or outside."""
    if not text or text != text.strip():
        return False
    alone, among = parsed(f"k={text}"), parsed(f"k=[{text},0]")
    return (
        isinstance(alone, Override)
        and isinstance(among, Override)
        and alone.value() == text
        and among.value() == [text, 0]
    )
