"""Values as text, and which name was meant by a text that is none."""

from __future__ import annotations

import difflib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

WARNING = "warning: "
"""How a line begins that tells what is hardly meant."""

_TRIGGER = re.compile(r"\{trigger\}|\[trigger\]", re.IGNORECASE)


def written(value: Any) -> str:
    """Return a value as one writes it on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{','.join(map(written, value))}]" if isinstance(value, list) else str(value)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `word` was most likely meant to be, or None if none is close."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def stands_for(word: str, known: Mapping[str, Any]) -> Any:
    """Return what a word stands for among the known ones, whatever its case and underscores; None if it is none."""
    plain = {name.lower().replace("_", ""): meant for name, meant in known.items()}
    return plain.get(word.lower().replace("_", ""))


def did_you_mean(word: str, candidates: Iterable[str], known: Mapping[str, Any] | None = None) -> str:
    """Return `; did you mean ...?`, or nothing if no candidate is close.

    Args:
        word: what was given.
        candidates: what could have been given.
        known: words that people give, and the candidate that each stands for.
    """
    guess = stands_for(word, known or {}) or nearest(word, candidates)
    return f"; did you mean {guess}?" if guess else ""


def size(count: float) -> str:
    """Return bytes as disks are sold: `626 kB`, `46 MB`, `1.2 GB`."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bytes_:
            value = count / bytes_
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count:.0f} B"


def names_trigger(text: str) -> bool:
    """Return whether a caption or prompt leaves a place for the trigger: `{trigger}` or `[trigger]`."""
    return _TRIGGER.search(text) is not None


def with_trigger(text: str, trigger: str) -> str:
    """Return a caption or prompt with the trigger where `{trigger}` or `[trigger]` stands."""
    return _TRIGGER.sub(lambda _: trigger, text)


def readable(name: str | Path) -> str:
    r"""Return a file name, or a text with one in it, as people can read and type it: what is not UTF-8 becomes `\xe9`.

    Python keeps such bytes as lone surrogates, which no encoder takes, and so neither terminals nor trackers.
    """
    text = re.sub(r"[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", os.fspath(name))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shell_quoted(text: str | Path) -> str:
    r"""Return a text as one word for a shell; bytes that are no Unicode as `$'caf\xe9'`, as bash and zsh read them."""
    text = os.fspath(text)
    if readable(text) == text:
        return shlex.quote(text)
    return "$'" + readable(text.replace("\\", r"\\").replace("'", r"\'")) + "'"


def escape_output() -> None:
    r"""Let standard output write `\xe9` or `\u2193` for what its encoding lacks, wherever that is printed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def all_readable(value: Any) -> Any:
    """Return nested dicts and lists with every text in them, keys too, as `readable` has it."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {all_readable(key): all_readable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_readable(inner) for inner in value]
    return value


def as_json(value: Any, **options: Any) -> str:
    """Return a value as JSON that every encoder takes: what is no Unicode is escaped, and read back as it was.

    Args:
        value: of JSON's kinds.
        options: as `json.dumps` takes them.
    """
    return json.dumps(value, ensure_ascii=False, **options).encode("utf-8", "backslashreplace").decode("utf-8")


def few(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2 images`."""
    return f"{count} {noun}" + "s" * (count != 1)
