"""Constraints of a search as text: a metric, `<=` or `>=`, and a number."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorasweep.text.names import did_you_mean

if TYPE_CHECKING:
    from optuna.trial import Trial

SECONDS = "seconds"
"""The metric that every trial has: how long it ran."""
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


def constrain(trial: Trial, constraints: Sequence[str], metrics: Mapping[str, Any]) -> str | None:
    """Set every constraint of a trial from what was measured.

    Args:
        trial: Optuna's, running.
        constraints: as text.
        metrics: name -> value.

    Returns:
        What was not measured, in words; None where nothing is missing.
    """
    missing = []
    for text in constraints:
        name, compare, limit = parse_constraint(text)
        measured = metrics.get(name)
        if not isinstance(measured, int | float) or math.isnan(measured):
            guess = did_you_mean(name, metrics)
            missing.append(f"the constraint {text!r} needs the metric {name}, which was not measured{guess}")
            continue
        excess = operator.sub(measured, limit) if compare == "<=" else operator.sub(limit, measured)
        trial.set_constraint(text, excess)
    return "; ".join(missing) or None
