"""Hydra's override grammar: one reader and one writer of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException


def parse_override(text: str) -> Override:
    """Return the override that a text is.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        wrong = lines[0].partition("' : ")[2] or lines[0] if lines else "expected key=value"
        raise ValueError(
            f"this is not Hydra's grammar ({wrong.strip()}); text with commas or spaces is quoted: 'a, b'"
        ) from error


def parsed(text: str) -> Override | None:
    """Return the override that a text is, None if it is none."""
    try:
        return parse_override(text)
    except ValueError:
        return None


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


def plain_value(override: Override) -> Any:
    """Return the value of an override that is no sweep, without the grammar's own types."""

    def plain(value: Any) -> Any:
        if isinstance(value, QuotedString):
            return value.text
        if isinstance(value, Mapping):
            return {plain(key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return plain(override.value())


def _reads_as(text: str) -> bool:
    """Whether a text without quotes is read as this text: not as a number or a sweep, inside a list or outside."""
    if not text or text != text.strip():
        return False
    alone, among = parsed(f"k={text}"), parsed(f"k=[{text},0]")
    return alone is not None and among is not None and alone.value() == text and among.value() == [text, 0]


def quoted(text: str) -> str:
    """Return a text as a quoted value of Hydra's."""
    return QuotedString(text, Quote.single if '"' in text and "'" not in text else Quote.double).with_quotes()
