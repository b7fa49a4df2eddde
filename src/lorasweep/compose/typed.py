"""Command lines as people type them, made readable for Hydra.

Hydra's grammar has no place for `~/photos`, `café`, `a[1]`, `it's` or `my set (1)`, and reads `2024_05_01` as a number.
Where a key takes a text, what was typed is that text; where it takes a whole number or a list, `1e3` and a single item
are clear too. Quoted values, `${...}` and sweeps stay what they are to Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorasweep.schema import Key, schema_keys
from lorasweep.schema.keys import keys_of
from lorasweep.search.settings import PREFIX, Settings
from lorasweep.text.grammar import parsed, quoted

_QUOTES = ("'", '"')
_OPENING = {"[": "]", "(": ")", "{": "}"}
_CALL = re.compile(r"\w+\(")  # choice(, range(, ...
_ESCAPED = re.compile(r"\\[\\,=\s:()\[\]{}]")  # Hydra's own way to write such characters without quotes


def hydra_words(line: Sequence[str], several: bool = False) -> list[str]:
    """Return a command line with every value in a form that Hydra reads as what was typed.

    Args:
        line: overrides, as typed.
        several: whether `a,b` stands for a run with each (a multirun).
    """
    return [_readable(text, several) for text in line]


def _readable(text: str, several: bool) -> str:
    name, equals, value = text.partition("=")
    plain = name.strip().lstrip("+")
    if not equals or name.startswith("~"):
        return text
    if (key := schema_keys().get(plain)) is not None:
        return f"{name}={_several(key, value) if several else _one(key, value)}"
    option = keys_of(Settings, PREFIX).get(plain)  # a search has one value of each
    if option is not None and option.kind in (bool, int, float, str, list):
        return f"{name}={_one(option, value)}"
    # Of a group, of Hydra, or unknown: what begins like a list, a sweep or a quoted text is left to be refused.
    begins = value[:1] in (*_QUOTES, *_OPENING) or _CALL.match(value)
    return text if begins or parsed(text) is not None else f"{name}={quoted(value)}"


def _several(key: Key, text: str) -> str:
    """Return all values of a multirun's sweep of a key; where it is none, its only value."""
    override = parsed(f"{key.name}={text}")
    if override is not None and override.is_sweep_override() and not override.is_choice_sweep():
        return text
    # Hydra keeps the quotes of the texts in `a,b`, but not of those in choice(a, b).
    choices = re.fullmatch(r"choice\((.*,.*)\)", text, re.DOTALL) if override is not None else None
    items = list(_items(choices[1] if choices else text))
    return ",".join(_one(key, item.strip()) for item in items) if len(items) > 1 else _one(key, text)


def _one(key: Key, text: str) -> str:
    """Return one value of a key."""
    override = parsed(f"{key.name}={text}")
    if override is not None and override.is_sweep_override() and not _is_text(key, text):
        return text
    if key.nullable and text.strip().lower() == "none" and not (key.kind is str and Path(text).exists()):
        return "null"
    if key.kind is str:
        return _text(text.strip() if key.path else text)
    if key.kind is list:
        return _list(key, text)
    value = override.value() if override is not None else None
    return str(int(value)) if key.kind is int and isinstance(value, float) and value.is_integer() else text


def _is_text(key: Key, text: str) -> bool:
    """Return whether what could be several values, for Hydra, can only be one text: `blurry, low quality`."""
    return key.kind is str and "choices" not in key.limits and (", " in text or Path(text).exists())


def _text(text: str) -> str:
    """Return a text in a form that Hydra reads as exactly that text; what it reads as null or quoted stays so."""
    override = parsed(f"key={text}")
    if override is not None and not override.is_sweep_override():
        value = override.value()
        if value is None or value == text or text[:1] in _QUOTES or "${" in text or _ESCAPED.search(text):
            return text
    return quoted(text)


def _list(key: Key, text: str) -> str:
    """Return a list, or a single item as a list."""
    if text.strip().lower() == "null" or "${" in text:
        return text
    inner = text.strip()[1:-1] if text.strip()[:1] == "[" and text.strip()[-1:] == "]" else text
    items = [item.strip() for item in _items(inner)] if inner.strip() else []
    return f"[{','.join(_text(item) if key.item is str else item for item in items)}]"


def _items(text: str) -> Iterator[str]:
    """Yield the items of a list without its brackets: parted by commas that stand neither in quotes nor in brackets."""
    start, quote = 0, ""
    closing: list[str] = []
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[position - 1] != "\\" else quote
        elif letter in _QUOTES and not text[start:position].strip():
            quote = letter
        elif letter == "," and not closing:
            yield text[start:position]
            start = position + 1
        elif letter in _OPENING:
            closing.append(_OPENING[letter])
        elif closing and letter == closing[-1]:
            closing.pop()
    yield text[start:]
