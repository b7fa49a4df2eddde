"""Values survive the way into an override and back, with their types."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lorasweep.search.stored import dotted, stored, stored_text
from lorasweep.text.grammar import element, parse_override, parsed

VALUES = [
    None,
    True,
    False,
    0,
    -3,
    10**20,
    1e-05,
    0.1,
    1.0,
    float("inf"),
    "cosine",
    "food/v8",
    "${of_lr:0.5}",
    "a b",
    "a, b",
    "a,b",
    "it's",
    'say "x"',
    "back\\slash",
    "ends in \\",
    "",
    " padded ",
    "true",
    "null",
    "8",
    "1e-3",
    "inf",
    "choice(1,2)",
    "range(1,5)",
    "[1,2]",
    "{a:1}",
    "=x",
    "key=value",
    "a:b",
    "ünïcode 日本",
    [1, 2],
    [],
    ["a b", None, [0.5, "1"], True],
    {"a": 1, "b": ["x", {"c": "true"}]},
]


def read_back(text: str) -> Any:
    """Return what Hydra itself reads on the right side of an override."""
    override = OverridesParser.create().parse_override(f"key={text}")
    assert not override.is_sweep_override(), text
    return override.value()


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_hydra_reads_back_what_was_written(value: Any) -> None:
    """Also inside a list, and after it was stored: same value, same type."""
    for text in (element(value), stored_text(stored(value))):
        assert read_back(text) == value
        assert type(read_back(text)) is type(value)
    assert read_back(element([value, 0])) == [value, 0]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_only_what_optuna_stores_is_stored(value: Any) -> None:
    assert stored(value) is None or isinstance(stored(value), (bool, int, float, str))


def test_a_mark_means_an_override_text_and_nothing_else_does() -> None:
    assert stored([1, 2]) == "=[1,2]"
    assert stored("=[1,2]") == "='=[1,2]'"
    assert stored("[1,2]") == "[1,2]"
    assert len({stored([1, 2]), stored("=[1,2]"), stored("[1,2]")}) == 3


def test_plain_words_stay_without_quotes() -> None:
    assert element("cosine") == "cosine"
    assert element("${of_lr:0.5}") == "${of_lr:0.5}"
    assert element("true") == "'true'"


def test_what_is_no_grammar_is_said_in_one_line() -> None:
    for text, wrong in (("key", ""), ("key=choice()", "empty choice is not legal"), ("key=choice(a b, (c)", "")):
        assert parsed(text) is None
        with pytest.raises(ValueError, match=wrong) as refused:
            parse_override(text)
        assert "\n" not in str(refused.value)


def test_params_within_params_are_those_of_a_dotted_key() -> None:
    legacy = {"type": "int", "low": 1, "high": 4}
    nested = {"network": {"rank": "4,8", "type": "lora,loha"}, "optimizer.lr": "1e-3,1e-4", "x": legacy, "off": None}
    assert dotted(nested) == {
        "network.rank": "4,8", "network.type": "lora,loha", "optimizer.lr": "1e-3,1e-4", "x": legacy, "off": None
    }  # fmt: skip
