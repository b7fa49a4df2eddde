"""Names: which one was meant by a text that is none, and the shortest that tells several apart."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


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
