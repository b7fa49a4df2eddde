"""Constraints of a search as text: a metric, `<=` or `>=`, and a number."""

from __future__ import annotations

import re

_FORM = re.compile(r"\s*([\w./-]+)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


def parse_constraint(text: str) -> tuple[str, str, float]:
    """Return metric, comparison (`<=` or `>=`) and limit of a constraint such as `seconds <= 600`.

    Raises:
        ValueError: it reads otherwise.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text}: expected a metric, <= or >=, and a number, such as 'seconds <= 600'")
    return found[1], found[2], float(found[3])
