"""What versions are chosen by: a metric, a weighted sum of several, or either under conditions; parsed from text.

image/fidelity
0.7*image/fidelity - 0.3*image/drift
maximize image/fidelity where image/drift <= 0.1 and val/loss_ratio <= 1
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from lorasweep.registry import is_dotted
from lorasweep.schema.measures import METRICS, Measure
from lorasweep.text.names import did_you_mean

EXAMPLE = "'maximize image/fidelity where image/adherence >= 0.3'"

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_METRIC = r"[A-Za-z_][\w./:]*"
_GOAL = re.compile(r"\s*(?:(?P<way>maximi[sz]e|minimi[sz]e)\s+)?(?P<sum>.*?)(?:\s+where\s+(?P<conditions>.+))?\s*")
_TERM = re.compile(rf"\s*(?P<sign>[-+]?)\s*(?:(?P<weight>{_NUMBER})\s*\*\s*)?(?P<metric>{_METRIC})\s*")
_CONDITION = re.compile(rf"\s*(?P<metric>{_METRIC})\s*(?P<compare><=|>=)\s*(?P<limit>[-+]?{_NUMBER})\s*")


@dataclass(frozen=True)
class Condition:
    """A limit that a version keeps.

    Attributes:
        metric: its name.
        compare: `<=` or `>=`.
        limit: what it is held to.
    """

    metric: str
    compare: str
    limit: float

    def excess(self, metrics: Mapping[str, float]) -> float:
        """Return by how much it is broken, at most 0 where it is kept; infinite where nothing was measured.

        Args:
            metrics: by name.
        """
        value = metrics.get(self.metric, math.nan)
        if not math.isfinite(value):
            return math.inf
        return value - self.limit if self.compare == "<=" else self.limit - value

    def __str__(self) -> str:
        return f"{self.metric} {self.compare} {self.limit:g}"


@dataclass(frozen=True)
class Goal:
    """What versions are chosen by.

    Attributes:
        text: as it was given.
        terms: metric -> weight, of what is summed up.
        direction: minimize or maximize.
        conditions: limits that the chosen one keeps.
    """

    text: str
    terms: Mapping[str, float]
    direction: str
    conditions: tuple[Condition, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """The names of all that it needs measured."""
        return list(dict.fromkeys([*self.terms, *(condition.metric for condition in self.conditions)]))

    @property
    def sum_text(self) -> str:
        """What is optimised, without way and conditions: `0.7*image/fidelity - 0.3*image/drift`."""
        parts: list[str] = []
        for metric, weight in self.terms.items():
            size = metric if abs(weight) == 1 else f"{abs(weight):g}*{metric}"
            parts.append(f"{'- ' if weight < 0 else '+ ' if parts else ''}{size}")
        return " ".join(parts)

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """Return the sum; None where a term was not measured.

        Args:
            metrics: by name.
        """
        values = [metrics.get(metric) for metric in self.terms]
        if any(value is None for value in values):
            return None
        return sum(weight * (metrics[metric]) for metric, weight in self.terms.items())

    def excess(self, metrics: Mapping[str, float]) -> float:
        """Return by how much the conditions are broken together; 0 where all are kept.

        Args:
            metrics: by name.
        """
        return sum(max(0.0, condition.excess(metrics)) for condition in self.conditions)

    def measure(self) -> Measure:
        """Return it as one measure, for who compares values of it.

        Two values of a sum are as near as their terms may be: no metric of one sum is much above 1, so that the margins
        add up, each with its weight.
        """
        if len(self.terms) == 1 and set(self.terms.values()) == {1.0}:
            return METRICS[next(iter(self.terms))]
        margin = sum(abs(weight) * METRICS[metric].margin for metric, weight in self.terms.items())
        meaning = f"what the versions were chosen by: {self.sum_text}"
        return Measure(
            direction=self.direction, label=self.sum_text, meaning=meaning, margin=margin, relative=False, cost="images"
        )


def parse_goal(text: str, allowed: Collection[str] = ()) -> Goal:
    """Return the goal that a text is.

    Args:
        text: as the module's text has it.
        allowed: packages whose metrics may be named by dotted names.

    Raises:
        ValueError: it reads otherwise, or names a metric that there is not; the message says what to write.
    """
    found = _GOAL.fullmatch(text)
    assert found is not None
    terms = _terms(found["sum"])
    conditions = tuple(_conditions(found["conditions"])) if found["conditions"] else ()
    if not terms or (conditions and None in conditions):
        raise ValueError(
            "expected a metric, a weighted sum such as 0.7*image/fidelity - 0.3*val/loss_ratio, or one under "
            f"conditions such as {EXAMPLE}"
        )
    kept = tuple(condition for condition in conditions if condition is not None)
    named = [*terms, *(condition.metric for condition in kept)]
    for name in named:
        if METRICS.find(name, allowed) is None and not (is_dotted(name) and len(named) == 1):
            raise ValueError(f"there is no metric {name}; expected one of {', '.join(METRICS)}{_guess(name)}")
    way, better = found["way"], _direction(terms, allowed)
    direction = f"{way[:6]}ze" if way else better
    if way and better not in (None, direction):
        raise ValueError(f"{found['sum']} is better the other way: write {better}, or leave {way} out")
    if direction is None:
        raise ValueError(f"say which way is better, as its terms disagree: 'maximize {text}' or 'minimize {text}'")
    return Goal(text, terms, direction, kept)


def measure_of(text: str, allowed: Collection[str] = ()) -> Measure | None:
    """Return what a metric or a goal is as a measure; None of a text that is neither.

    Args:
        text: of a config or a record.
        allowed: packages whose metrics may be named by dotted names.
    """
    if (known := METRICS.find(text, allowed)) is not None:
        return known
    goal = find_goal(text, allowed)
    return goal.measure() if goal is not None and all(METRICS.find(name, allowed) for name in goal.metrics) else None


def find_goal(text: str, allowed: Collection[str] = ()) -> Goal | None:
    """Return the goal that a text is; None where it is none, such as one of a record of another program.

    Args:
        text: of a config or a record.
        allowed: packages whose metrics may be named by dotted names.
    """
    try:
        return parse_goal(text, allowed)
    except ValueError:
        return None


def _terms(text: str) -> dict[str, float]:
    """Return the terms of a sum; none where it is no sum."""
    terms: dict[str, float] = {}
    place = 0
    while place < len(text):
        term = _TERM.match(text, place)
        if term is None or (terms and not term["sign"]) or term["metric"] in terms:
            return {}
        terms[term["metric"]] = float(term["weight"] or 1) * (-1 if term["sign"] == "-" else 1)
        place = term.end()
    return terms


def _conditions(text: str) -> Iterator[Condition | None]:
    for part in re.split(r"\s+and\s+|\s*,\s*", text):
        found = _CONDITION.fullmatch(part)
        yield Condition(found["metric"], found["compare"], float(found["limit"])) if found else None


def _direction(terms: Mapping[str, float], allowed: Collection[str]) -> str | None:
    """Return the way in which every term becomes better; None where they disagree."""
    ways = set()
    for metric, weight in terms.items():
        measure = METRICS.find(metric, allowed)
        direction = measure.direction if measure is not None else "minimize"
        ways.add(direction if weight > 0 else {"minimize": "maximize", "maximize": "minimize"}[direction])
    return ways.pop() if len(ways) == 1 else None


def _guess(name: str) -> str:
    return did_you_mean(name, METRICS)
