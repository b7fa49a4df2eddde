"""What was measured, as people read it: the difference to the base first, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from lorasweep.evaluation.evaluate import Evaluated
from lorasweep.runs import paths
from lorasweep.schema.measures import DECIMALS, MARGINS, METRICS, Measure, verdict

COLOURS = {"better": "green", "worse": "red", "same": "dim"}
INTERVALS = (
    "[low, high]: 95% intervals over prompts and seeds. What another seed of the training would have made of the same "
    "settings is no part of them, and is often more"
)


@dataclass(frozen=True)
class BaseDifference:
    """One figure against the base's.

    Attributes:
        value: of the candidate.
        base: of the base; None where it has none.
        delta: value less base; None where the base has none.
        low: lower end of the delta's interval; None where it has none.
        high: upper end.
    """

    value: float
    base: float | None
    delta: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str, metrics: Mapping[str, float], base: Mapping[str, float]) -> BaseDifference | None:
        """Return a metric against the base's; None where it was not measured.

        Args:
            name: of the metric.
            metrics: flat, of the candidate.
            base: flat, of the base.
        """
        value, bare = metrics.get(name), base.get(name)
        if value is None or not math.isfinite(value):
            return None
        apart = metrics.get(f"{name}_delta", None if bare is None else value - bare)
        low, high = (metrics.get(f"{name}_delta_{end}") for end in ("low", "high"))
        return cls(value, bare, apart, low, high)

    def verdict(self, name: str, measure: Measure) -> str:
        """Return better, worse or same: what an interval around 0 leaves open is the same.

        Args:
            name: of the metric.
            measure: it.
        """
        if self.delta is None or self.base is None:
            return ""
        if self.low is None or self.high is None:
            return verdict(name, self.value, self.base)
        if self.low <= 0 <= self.high:
            return "same"
        return "better" if (self.delta < 0) == (measure.direction == "minimize") else "worse"


def table_lines(found: Sequence[Evaluated]) -> list[Text]:
    """Return a table: for each metric a row for each candidate and strength.

    Args:
        found: what was measured.
    """
    several = len(found) > 1
    heads = ["", *([""] if several else []), "against the base", "", "value", "base"]
    rows: list[list[Text]] = [[Text(head, "dim") for head in heads]]
    for name in METRICS:
        measure, first = METRICS[name], True
        for each in found:
            change = BaseDifference.of(name, each.evaluation.metrics, each.evaluation.base)
            if change is None:
                continue
            rows.append(_row(measure.label if first else "", label(each) if several else None, name, measure, change))
            first = False
    result = align(rows)
    if any("[" in line.plain for line in result[1:]):
        result.append(Text(f"  {INTERVALS}", "dim"))
    if any(line.plain.rstrip().endswith("same") or " same " in line.plain for line in result[1:]):
        result.append(Text(f"  same: within the interval; without one, {MARGINS}", "dim"))
    return result


def label(each: Evaluated) -> str:
    """Return what a row is called: the candidate, and its strength where that is not 1."""
    strength = each.evaluation.strength
    return each.candidate.label + ("" if strength == 1 else f" at {strength:g}")


def results_as_json(found: Sequence[Evaluated], output_root: str) -> list[dict[str, Any]]:
    """Return what was measured as JSON has it; what is no number is null.

    Args:
        found: what was measured.
        output_root: folder of the cells.
    """
    from lorasweep.evaluation.cells import Cells

    cells = Cells(output_root)
    return [
        {
            "candidate": each.candidate.text,
            "label": each.candidate.label,
            "file": str(each.candidate.file),
            "record": str(paths.record(each.candidate.record.folder)) if each.candidate.record else None,
            "epoch": each.evaluation.epoch,
            "weights": each.evaluation.weights,
            "strength": each.evaluation.strength,
            "distance": each.evaluation.distance,
            "metrics": _finite(each.evaluation.metrics),
            "base": _finite(each.evaluation.base),
            "cells": [str(cells.path(digest)) for digest in each.evaluation.cells],
            "base_cells": [str(cells.path(digest)) for digest in each.evaluation.base_cells],
            "settings": each.evaluation.settings,
            "measured_now": each.anew,
        }
        for each in found
    ]


def align(rows: Sequence[Sequence[Text]]) -> list[Text]:
    """Return rows of cells as lines with aligned columns.

    Args:
        rows: all of as many cells.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def _row(head: str, what: str | None, name: str, measure: Measure, change: BaseDifference) -> list[Text]:
    word = change.verdict(name, measure)
    delta = "" if change.delta is None else f"{change.delta:+.{DECIMALS}f}"
    if change.low is not None and change.high is not None:
        delta += f" [{change.low:+.{DECIMALS}f}, {change.high:+.{DECIMALS}f}]"
    base = "" if change.base is None else f"{change.base:.{DECIMALS}f}"
    cells = [Text(head, "bold"), *([Text(what)] if what is not None else [])]
    return [
        *cells,
        Text(delta),
        Text(word, COLOURS.get(word, "")),
        Text(f"{change.value:.{DECIMALS}f}"),
        Text(base, "dim"),
    ]


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    padded = [cell + Text(" " * (width - len(cell))) for cell, width in zip(row, widths, strict=True)]
    line = Text("  ") + Text("  ").join(padded)
    line.rstrip()
    return line


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
