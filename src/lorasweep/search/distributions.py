"""Sweeps as Optuna's distributions, and back as text in Hydra's grammar.

Ends are Hydra's: `range(4,16,4)` is 4, 8, 12, an interval includes both. Whole numbers stay whole, text stays text.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lorasweep.search.optuna_internals import within
from lorasweep.search.stored import MARK, stored, stored_text
from lorasweep.text.grammar import element

_LEGACY = {"categorical": {"choices"}, "int": {"low", "high", "step", "log"}, "float": {"low", "high", "step", "log"}}


def from_override(override: Override) -> BaseDistribution:
    """Return the distribution of a sweep; ValueError says what is wrong with it."""
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep):
        _tags(sweep.tags, log=False)
        return from_choices(sweep.list)
    if isinstance(sweep, RangeSweep):
        log = _tags(sweep.tags, log=not sweep.shuffle)
        found = _range(sweep)
        if sweep.shuffle:
            return from_choices(found)
        low, high, step = min(found), max(found), abs(sweep.step)
        return _numbers(low, high, step, log)
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None and sweep.end is not None
        return _numbers(sweep.start, sweep.end, None, _tags(sweep.tags, log=True))
    raise ValueError("a glob is not a search space: name the choices, as in a,b,c")


def end_left_out(override: Override) -> str | None:
    """Return in words that a range stops short of its end, where its steps would reach it; None for all other sweeps.

    hydra-optuna-sweeper up to 1.3 takes the end in (but for its grid sampler), so that a space that was written for
    it would lose its last value in silence.
    """
    sweep = override.value()
    if not isinstance(sweep, RangeSweep) or sweep.shuffle:
        return None
    found = _range(sweep)
    start, stop, step = (_exact(end) for end in (sweep.start, sweep.stop, sweep.step) if end is not None)
    if (stop - start) % step:
        return None
    kind = type(found[-1])
    further = ",".join(element(kind(end)) for end in (start, stop + step, step))
    few = [*found[:3], "...", found[-1]] if len(found) > 4 else found
    return (
        f"{override.input_line}: {', '.join(map(str, few))}; as everywhere in Hydra, a range's end is not part of it "
        f"(hydra-optuna-sweeper 1.3 takes it in: range({further}) does)"
    )


def from_choices(found: Sequence[Any]) -> CategoricalDistribution:
    """Return a choice between values, each in its stored form; ValueError where there are none or two the same."""
    if not found:
        raise ValueError("a choice of nothing: expected at least one value")
    kept: list[Any] = []
    for item in map(stored, found):
        equal = [other for other in kept if other == item]
        if equal and type(equal[0]) is not type(item):  # Optuna takes 1, 1.0 and true for one choice
            item = MARK + element(item)
            equal = [other for other in kept if other == item]
        if equal:
            raise ValueError(f"{stored_text(item)} is among the choices twice")
        kept.append(item)
    return CategoricalDistribution(kept)


def from_legacy(spec: Mapping[str, Any]) -> BaseDistribution:
    """Return the distribution of a dict of the official plugin's older form; its `high` is included."""
    kind = str(getattr(spec.get("type"), "name", spec.get("type")))
    if kind not in _LEGACY:
        raise ValueError(f"type: expected categorical, int or float, got {element(spec.get('type'))}")
    given = {key: value for key, value in spec.items() if key != "type" and value is not None}
    unknown = sorted(set(given) - _LEGACY[kind])
    needed = sorted({"choices"} - set(given) if kind == "categorical" else {"low", "high"} - set(given))
    if unknown or needed:
        faults = [f"{key} is missing" for key in needed] + [f"{key} is unknown" for key in unknown]
        raise ValueError(f"type: {kind} takes {', '.join(sorted(_LEGACY[kind]))}; {', '.join(faults)}")
    if kind == "categorical":
        return from_choices(list(given["choices"]))
    low, high, step = given["low"], given["high"], given.get("step")
    cast = int if kind == "int" else float
    try:
        numbers = [cast(low), cast(high), None if step is None else cast(step)]
    except (TypeError, ValueError):
        given_values = ", ".join(f"{key}: {element(given[key])}" for key in ("low", "high", "step") if key in given)
        raise ValueError(f"expected numbers, got {given_values}") from None
    if numbers[2] is not None and numbers[2] <= 0:
        raise ValueError(f"step: expected more than 0, got {element(step)}")
    return _numbers(numbers[0], numbers[1], numbers[2], bool(given.get("log", False)))  # type: ignore[arg-type]


def values(distribution: BaseDistribution) -> list[Any] | None:
    """Return all values of a distribution as a trial stores them, or None if there is no end of them."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is None:
        return [distribution.low] if distribution.low == distribution.high else None
    low, step = _exact(distribution.low), _exact(distribution.step)
    return [float(low + i * step) for i in range(int((_exact(distribution.high) - low) / step) + 1)]


def ends(distribution: BaseDistribution) -> list[Any]:
    """Return the values that stand for all of a parameter's: every choice, the ends of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return list(dict.fromkeys([distribution.low, distribution.high]))


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value, as a trial stores it, lies within a distribution."""
    try:
        return within(distribution, value)
    except (TypeError, ValueError):  # not one of the choices, not a number
        return False


def in_words(distribution: BaseDistribution) -> str:
    """Return a distribution as a sweep in Hydra's grammar."""
    if isinstance(distribution, CategoricalDistribution):
        text = ",".join(map(stored_text, distribution.choices))
        several = len(distribution.choices) > 1
        return text if several and None in distribution.choices else f"choice({text})"  # choice() takes no null
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step
    whole = isinstance(distribution, IntDistribution)
    if step is not None and not (whole and step == 1):
        stop = high + step if whole else float(_exact(high) + _exact(step))
        return f"range({element(low)},{element(stop)},{element(step)})"
    text = f"interval({element(low)},{element(high)})"
    text = f"int({text})" if whole else text
    return f"tag(log,{text})" if distribution.log else text


def as_stored(distribution: BaseDistribution | None, value: Any) -> Any:
    """Return a value that a person wrote as a trial of this distribution stores it; others as they are."""
    if isinstance(distribution, CategoricalDistribution):
        form, text = stored(value), MARK + element(value)
        alike = [choice for choice in distribution.choices if choice == form]
        exactly = [choice for choice in alike if type(choice) is type(form)]
        marked = [choice for choice in distribution.choices if choice == text]
        return next(iter([*exactly, *marked, *alike]), value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(distribution, FloatDistribution):
            return float(value)
        if isinstance(distribution, IntDistribution) and math.isfinite(value) and value == int(value):
            return int(value)
    return value


def _range(sweep: RangeSweep) -> list[Any]:
    assert sweep.start is not None and sweep.stop is not None
    ends = (sweep.start, sweep.stop, sweep.step)
    if not all(map(math.isfinite, ends)) or sweep.step == 0:
        raise ValueError("expected a start, a stop and a step other than 0")
    start, stop, step = map(_exact, ends)
    count = max(0, math.ceil((stop - start) / step))
    if not count:
        raise ValueError(f"there is nothing in it: {element(sweep.stop)}, its end, is not part of a range")
    kind = int if all(isinstance(end, int) for end in ends) else float
    return [kind(start + i * step) for i in range(count)]


def _numbers(low: float, high: float, step: float | None, log: bool) -> BaseDistribution:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("expected finite ends")
    if low > high:
        raise ValueError(f"there is nothing in it: write the smaller end first, {element(high)},{element(low)}")
    whole = isinstance(low, int) and isinstance(high, int)
    if log and low <= 0:
        raise ValueError(f"a logarithm needs ends above 0, got {element(low)}")
    if log and step is not None and not (whole and step == 1):
        raise ValueError("a logarithmic scale has no step: use tag(log, interval(...)) without one")
    if whole:
        return IntDistribution(int(low), int(high), log=log, step=1 if step is None else int(step))
    return FloatDistribution(float(low), float(high), log=log, step=None if step is None else float(step))


def _tags(tags: Collection[str], log: bool) -> bool:
    """Return whether a sweep is logarithmic; `log` says whether it may be."""
    unknown = sorted(set(tags) - {"log"})
    if unknown:
        raise ValueError(f"unknown tag {', '.join(unknown)}: the only one is log, as in tag(log, interval(1, 10))")
    if "log" in tags and not log:
        raise ValueError("choices have no scale: leave tag(log, ...) out")
    return "log" in tags


def _exact(number: float) -> Decimal:
    """Return a number as it is written: 0.1 is one tenth, not the nearest binary fraction."""
    return Decimal(repr(number))
