"""The sweeper's and the lanes' settings: types, limits, nearest names, what changes nothing; all problems at once."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hydra_plugins.lorasweep import conf
from lorasweep.lanes.settings import LaneSettings
from lorasweep.schema.keys import keys_of
from lorasweep.search.settings import Settings, read_settings
from lorasweep.text.values import written

CONF = Path(conf.__path__[0]) / "hydra"


def settled(**values: Any) -> Settings:
    settings, problems = read_settings(OmegaConf.create(values))
    assert not problems
    return settings


def problems(*given: str, **values: Any) -> list[str]:
    return [str(problem) for problem in read_settings(OmegaConf.create(values), given)[1]]


@pytest.mark.parametrize(
    ("file", "schema"), [("sweeper/lorasweep.yaml", Settings), ("launcher/lanes.yaml", LaneSettings)]
)
def test_the_files_that_users_read_say_what_the_options_say(file: str, schema: type) -> None:
    text = (CONF / file).read_text()
    shown = OmegaConf.to_container(OmegaConf.load(CONF / file), resolve=False)
    assert isinstance(shown, dict)
    keys = keys_of(schema)
    assert {key for key in shown if not str(key).startswith("_") and key != "defaults"} == (
        set(keys) - {"sampler", "pruner", "search_space"}
    )
    for name, key in keys.items():
        if name not in shown:
            continue
        default = [shown[name]] if name == "direction" else shown[name]
        assert default == key.default or name == "folder", name
        assert re.search(rf"^{name}: .* # {re.escape(key.doc)}$", text, re.MULTILINE), f"{name}: {key.doc}"


def test_values_are_read_as_hydra_reads_a_typed_config() -> None:
    settings = settled(
        n_trials="7", retries=1e1, timeout=3, max_failure_rate=1, plots="no", direction="maximize", constraints="a <= 1"
    )
    assert (settings.n_trials, settings.timeout, settings.max_failure_rate, settings.plots) == (7, 3.0, 1.0, False)
    assert settings.direction == ["maximize"] and settings.constraints == ["a <= 1"]
    assert settled(pruner=None, constraints=None, sources=None).constraints == []
    assert settled() == Settings()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("timeout", "1h", "expected a number or null"),
        ("timeout", 0, "expected more than 0"),
        ("timeout", float("inf"), "expected more than 0"),
        ("max_failure_rate", "half", "expected a number"),
        ("max_failure_rate", 1.5, "expected at least 0 and at most 1"),
        ("lease_s", "abc", "expected a number"),
        ("n_trials", float("inf"), "expected a whole number"),
        ("n_trials", 2.5, "expected a whole number"),
        ("n_trials", None, "expected a whole number"),
        ("n_trials", True, "expected a whole number"),
        ("n_trials", 0, "expected at least 1"),
        ("n_jobs", 0, "expected at least 1"),
        ("retries", -1, "expected at least 0"),
        ("plots", "perhaps", "expected true or false"),
        ("direction", "up", "expected one of minimize, maximize"),
        ("direction", "minimise", "did you mean minimize?"),
        ("direction", [], "expected minimize or maximize, or a list of these"),
        ("storage", {"url": "x"}, "expected text or null"),
        ("study_name", "", "expected a name that is not empty"),
        ("study_name", "bear:finals", "does not end in :finals"),
        ("study_name", "bear:changing", "or :changing"),
        ("constraints", ["seconds < 6"], "seconds < 6: expected a metric, <= or >=, and a number"),
        ("constraints", ["seconds <= 1e"], "seconds <= 1e: expected a metric"),
        ("metric_names", ["a", "b"], "expected a different name for each of 1 directions"),
        ("sources", "history", "expected keys with values"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(key: str, value: Any, told: str) -> None:
    (problem,) = problems(**{key: value})
    assert problem.startswith(f"hydra.sweeper.{key}") and told in problem


def test_everything_is_told_at_once_and_what_only_follows_is_not() -> None:
    told = problems(n_trials="many", timeout="1h", terminator=True, n_trial=3, prunner="x", repeats=2)
    assert [text.split(":")[0] for text in told] == [
        "hydra.sweeper.n_trials=many",
        "hydra.sweeper.timeout=1h",
        "hydra.sweeper.n_trial",
        "hydra.sweeper.prunner",
        "hydra.sweeper.repeats=2",
    ]
    assert "did you mean n_trials?" in told[2] and "did you mean pruner?" in told[3]


def test_an_interpolation_to_nothing_is_named() -> None:
    (told,) = problems(timeout="${nothing}")
    assert told == "hydra.sweeper.timeout: Interpolation key 'nothing' not found"


@pytest.mark.parametrize(
    ("given", "values", "told"),
    [
        ("finalists", {"finalists": 2}, "=2 changes nothing without hydra.sweeper.repeats>1"),
        ("seed_key", {"seed_key": "seed"}, "=seed changes nothing without hydra.sweeper.repeats>1"),
        ("fold_overrides", {"fold_overrides": ["a=1"]}, "=[a=1] changes nothing without hydra.sweeper.folds"),
        ("terminator", {"terminator": True, "n_trials": 12}, "=true changes nothing with n_trials=12"),
        (
            "terminator",
            {"terminator": True, "direction": ["minimize"] * 2},
            "=true: Optuna's terminator judges",
        ),
    ],
)
def test_what_changes_nothing_is_refused_where_the_command_line_asks_for_it(
    given: str, values: dict[str, Any], told: str
) -> None:
    assert [text for text in problems(given, **values) if told in text] == problems(given, **values) != []


def test_a_config_may_bring_along_what_changes_nothing_yet() -> None:
    assert not problems(seed_key="seed", fold_overrides=["a={fold}"], finalists=2)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"repeats": 2}, "which key is the seed?"),
        ({"folds": 3}, "how is a fold asked for?"),
        ({"folds": 3, "fold_overrides": ["f={fold}"], "repeats": 2, "seed_key": "s"}, "give one of them"),
        ({"repeats": 2, "seed_key": "s", "direction": ["minimize", "maximize"]}, "need a single objective"),
        ({"params": {"x": "1,2"}, "search_space": {"x": "1,2"}}, "give params alone"),
    ],
)
def test_options_that_do_not_go_together(values: dict[str, Any], told: str) -> None:
    assert any(told in text or told.replace("need", "needs") in text for text in problems(**values))


def test_every_option_is_in_the_reference_of_words() -> None:
    """A meaning in one sentence each, and a default that can be shown."""
    for schema in (Settings, LaneSettings):
        for name, entry in zip(keys_of(schema), fields(schema), strict=True):
            assert name == entry.name and not keys_of(schema)[name].doc.endswith(".")
            assert written(keys_of(schema)[name].default)
