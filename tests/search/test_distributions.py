"""Sweeps become distributions with Hydra's ends and types, and are written back as the same sweeps."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lorasweep.search.distributions import as_stored, ends, from_legacy, from_override, in_words, values

SWEEPS: list[tuple[str, BaseDistribution, list[Any] | None]] = [
    ("range(4,16,4)", IntDistribution(4, 12, step=4), [4, 8, 12]),
    ("range(4,17,4)", IntDistribution(4, 16, step=4), [4, 8, 12, 16]),
    ("range(4)", IntDistribution(0, 3), [0, 1, 2, 3]),
    ("range(10,1,-3)", IntDistribution(4, 10, step=3), [4, 7, 10]),
    ("range(1,2)", IntDistribution(1, 1), [1]),
    ("sort(range(1,4),reverse=true)", IntDistribution(1, 3), [1, 2, 3]),
    ("tag(log,range(1,9))", IntDistribution(1, 8, log=True), [1, 2, 3, 4, 5, 6, 7, 8]),
    ("range(0,1,0.25)", FloatDistribution(0.0, 0.75, step=0.25), [0.0, 0.25, 0.5, 0.75]),
    ("range(0,0.9,0.3)", FloatDistribution(0.0, 0.6, step=0.3), [0.0, 0.3, 0.6]),
    ("range(0,0.3,0.1)", FloatDistribution(0.0, 0.2, step=0.1), [0.0, 0.1, 0.2]),
    ("float(range(1,4))", FloatDistribution(1.0, 3.0, step=1.0), [1.0, 2.0, 3.0]),
    ("interval(1,5)", FloatDistribution(1.0, 5.0), None),
    ("interval(2,2)", FloatDistribution(2.0, 2.0), [2.0]),
    ("int(interval(1,4))", IntDistribution(1, 4), [1, 2, 3, 4]),
    ("tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True), None),
    ("tag(log,int(interval(2,4)))", IntDistribution(2, 4, log=True), [2, 3, 4]),
    ("int(tag(log,interval(2,4)))", IntDistribution(2, 4, log=True), [2, 3, 4]),
    ("choice(1e-4,1e-3)", CategoricalDistribution([1e-4, 1e-3]), [1e-4, 1e-3]),
    ("8,16", CategoricalDistribution([8, 16]), [8, 16]),
    ("null,true,5,x", CategoricalDistribution([None, True, 5, "x"]), [None, True, 5, "x"]),
    ("choice('1','a b')", CategoricalDistribution(["1", "a b"]), ["1", "a b"]),
    ("[1,2],[3]", CategoricalDistribution(["=[1,2]", "=[3]"]), ["=[1,2]", "=[3]"]),
    ("{a:1},{a:2}", CategoricalDistribution(["={a:1}", "={a:2}"]), ["={a:1}", "={a:2}"]),
    ("shuffle(range(1,4))", CategoricalDistribution([1, 2, 3]), [1, 2, 3]),
    ("1,1.0,true", CategoricalDistribution([1, "=1.0", "=true"]), [1, "=1.0", "=true"]),
]


def distribution(sweep: str) -> BaseDistribution:
    return from_override(OverridesParser.create().parse_override(f"key={sweep}"))


def same(one: list[Any] | None, other: list[Any] | None) -> bool:
    """Whether two lists are equal in values and types."""
    return one == other and [type(item) for item in one or []] == [type(item) for item in other or []]


@pytest.mark.parametrize(("sweep", "expected", "found"), SWEEPS, ids=[sweep for sweep, *_ in SWEEPS])
def test_a_sweep(sweep: str, expected: BaseDistribution, found: list[Any] | None) -> None:
    """Read, listed, and written back so that reading it again gives the same."""
    read = distribution(sweep)
    assert read == expected
    assert same(values(read), found)
    assert distribution(in_words(read)) == read
    assert same(values(distribution(in_words(read))), found)


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ("range(5,5)", "nothing in it"),
        ("range(5,1)", "nothing in it"),
        ("range(1,5,0)", "step other than 0"),
        ("interval(5,1)", "smaller end first, 1.0,5.0"),
        ("interval(0,inf)", "finite ends"),
        ("tag(log,interval(0,1))", "above 0, got 0.0"),
        ("tag(log,range(2,16,2))", "no step"),
        ("tag(log,range(0.1,1,0.1))", "no step"),
        ("tag(log,choice(1,2))", "choices have no scale"),
        ("tag(log,shuffle(range(1,4)))", "choices have no scale"),
        ("tag(uniform,interval(0,1))", "unknown tag uniform"),
        ("glob(*)", "name the choices"),
        ("8,16,8", "8 is among the choices twice"),
        ("1,1.0,1.0", "1.0 is among the choices twice"),
    ],
)
def test_what_is_no_space(sweep: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        distribution(sweep)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "categorical", "choices": [-5, 0, 5]}, CategoricalDistribution([-5, 0, 5])),
        ({"type": "categorical", "choices": [[1, 2], "a"]}, CategoricalDistribution(["=[1,2]", "a"])),
        ({"type": "int", "low": 1, "high": 9}, IntDistribution(1, 9)),
        ({"type": "int", "low": 1, "high": 9, "step": 2}, IntDistribution(1, 9, step=2)),
        ({"type": "int", "low": 1, "high": 64, "log": True}, IntDistribution(1, 64, log=True)),
        ({"type": "float", "low": -5.5, "high": 5.5, "step": 0.5}, FloatDistribution(-5.5, 5.5, step=0.5)),
        ({"type": "float", "low": 1, "high": 2, "step": None, "log": False}, FloatDistribution(1.0, 2.0)),
        ({"type": "float", "low": 1e-5, "high": 1, "log": True}, FloatDistribution(1e-5, 1.0, log=True)),
    ],
)
def test_the_older_form_of_the_official_plugin(spec: dict[str, Any], expected: BaseDistribution) -> None:
    assert from_legacy(spec) == expected


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"type": "gauss", "low": 0, "high": 1}, "got gauss"),
        ({"low": 0, "high": 1}, "got null"),
        ({"type": "float", "low": 0}, "high is missing"),
        ({"type": "int", "low": 0, "high": 1, "size": 3}, "size is unknown"),
        ({"type": "categorical"}, "choices is missing"),
        ({"type": "categorical", "choices": []}, "at least one"),
        ({"type": "float", "low": 1, "high": 2, "step": 0.5, "log": True}, "no step"),
        ({"type": "float", "low": 1, "high": 2, "step": 0}, "more than 0"),
    ],
)
def test_a_wrong_older_form(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        from_legacy(spec)


def test_the_ends_stand_for_all_values() -> None:
    assert ends(distribution("range(4,16,4)")) == [4, 12]
    assert ends(distribution("interval(1,5)")) == [1.0, 5.0]
    assert ends(distribution("interval(1,1)")) == [1.0]
    assert ends(distribution("a,b,c")) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sweep", "given", "expected"),
    [
        ("[1,2],[3]", [1, 2], "=[1,2]"),
        ("1,1.0,true", 1, 1),
        ("1,1.0,true", 1.0, "=1.0"),
        ("1,1.0,true", True, "=true"),
        ("0.5,1.0", 1, 1.0),
        ("int(interval(1,9))", 8.0, 8),
        ("interval(1,9)", 8, 8.0),
        ("int(interval(1,9))", 8.5, 8.5),
        ("a,b", "c", "c"),
    ],
)
def test_what_a_person_writes_becomes_what_a_trial_stores(sweep: str, given: Any, expected: Any) -> None:
    found = as_stored(distribution(sweep), given)
    assert found == expected
    assert type(found) is type(expected)
