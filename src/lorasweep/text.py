"""Values as text, and which name was meant by a text that is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


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


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean ...?`, or nothing if no candidate is close."""
    guess = nearest(word, candidates)
    return f"; did you mean {guess}?" if guess else ""
