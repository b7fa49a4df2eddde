"""The space of a config and a command line, and its check against an app's configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from lorasweep.errors import UserError
from lorasweep.search.space import Space, check_space, parse_space


def problems(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.problems


def test_params_and_command_line_together() -> None:
    """The command line's sweeps win, its fixed values take parameters away, all else stays in order."""
    space = parse_space(
        {
            "network.rank": "choice(4,8)",
            "optimizer.lr": "tag(log, interval(1e-5, 1e-3))",
            "scheduler": ["cosine", "linear"],
            "loss.gamma": "choice(null, 5.0)",
            "old": {"type": "int", "low": 1, "high": 3},
            "seed": 7,
            "text": "a b",
            "off": None,
            "dropped": "1,2",
        },
        ["network.rank=8,16,32", "scheduler=constant", "dropped=5", "lora=food", "+extra=interval(0,1)"],
    )
    assert space.distributions == {
        "network.rank": CategoricalDistribution([8, 16, 32]),
        "optimizer.lr": FloatDistribution(1e-5, 1e-3, log=True),
        "loss.gamma": CategoricalDistribution([None, 5.0]),
        "old": IntDistribution(1, 3),
        "+extra": FloatDistribution(0.0, 1.0),
    }
    assert space.fixed == ("seed=7", "text=a b", "scheduler=constant", "dropped=5", "lora=food")


def test_a_prefix_does_not_make_another_key() -> None:
    assert list(parse_space({"x": "1,2"}, ["+x=3,4"]).distributions) == ["+x"]
    assert parse_space({"+x": "1,2"}, ["++x=3"]).distributions == {}


def test_a_package_does() -> None:
    assert list(parse_space({"db@one": "a,b"}, ["db@two=c,d"]).distributions) == ["db@one", "db@two"]


def test_a_lists_elements_are_taken_literally() -> None:
    space = parse_space({"a": ["1,2", "true", 3, [4, "b c"], None]}, [])
    assert space.distributions["a"].choices == ("1,2", "true", 3, "=[4,b c]", None)
    texts = [space.overrides({"a": choice})[0] for choice in space.distributions["a"].choices]
    assert texts == ["a='1,2'", "a='true'", "a=3", "a=[4,b c]", "a=null"]


def test_every_problem_at_once() -> None:
    found = problems(
        lambda: parse_space(
            {"a": "interval(5,1)", "b": {"type": "float"}, "c": [], "d": "choice(", "e": "1,2", "+e": "1,2"},
            ["f=glob(*)", "g", "h=1,2", "h=3,4", "i=1", "i=1,2", "j=choice()"],
        )
    )
    text = "\n".join(found)
    for expected in (
        "f=glob(*): a glob",
        "g: this is not Hydra's grammar",
        "h=3,4: h is given twice",
        "i=1,2: i is given twice",
        "j=choice(): this is not Hydra's grammar",
        "params.a: interval(5,1): there is nothing in it",
        "params.b: type: float takes",
        "params.c: a choice of nothing",
        "params.d: choice(: this is not Hydra's grammar",
        "params.+e: e is given twice",
    ):
        assert expected in text
    assert len(found) == 10


def test_fixed_values_may_be_given_twice_as_in_hydra() -> None:
    assert parse_space({}, ["x=1", "x=2"]).fixed == ("x=1", "x=2")


def test_a_described_space_is_the_same_space() -> None:
    params = {
        "a": "range(4,16,4)",
        "b": "tag(log,int(interval(1,64)))",
        "c": [[1, 2], "x y", None],
        "d": "choice('=q',true,1)",
        "e": "range(0,1,0.1)",
        "f": "choice('${of_lr:0.5}', 0)",
    }
    space = parse_space(params, [])
    assert parse_space(space.describe(), []).distributions == space.distributions


def test_a_trials_parameters_keep_their_types_through_a_study(tmp_path: Path) -> None:
    """Asked for, written to a journal, read again and given to Hydra."""
    space = parse_space(
        {"i": "range(1,9,2)", "f": "interval(1,2)", "l": [[1, 2], [3]], "s": "'8','9'", "n": "null,true"}, []
    )
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    number = study.ask(space.distributions).number
    trial: FrozenTrial = optuna.load_study(study_name=study.study_name, storage=storage).trials[number]
    (tmp_path / "config.yaml").write_text("i: 0\nf: 0.0\nl: []\ns: ''\nn: null\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", space.overrides(trial.params)))
    assert isinstance(config["i"], int)
    assert isinstance(config["f"], float)
    assert config["l"] in ([1, 2], [3])
    assert config["s"] in ("8", "9")
    assert config["n"] in (None, True)


def test_keys_beyond_the_space_become_overrides_too() -> None:
    assert Space({}).overrides({"+w": 0.5, "x": "a b"}) == ["+w=0.5", "x=a b"]


def test_a_grid_lists_every_value_as_stored() -> None:
    space = parse_space({"a": "range(1,7,2)", "b": [[1], "x"], "c": "range(0,0.3,0.1)"}, [])
    assert space.grid() == {"a": [1, 3, 5], "b": ["=[1]", "x"], "c": [0.0, 0.1, 0.2]}
    assert space.size() == 18


def test_no_grid_without_an_end() -> None:
    space = parse_space({"a": "interval(0,1)", "b": "tag(log,interval(1e-4,1e-2))", "c": "1,2"}, [])
    found = problems(space.grid)
    assert found == [
        "a=interval(0.0,1.0) has no end of values: give it a step or choices, such as a=choice(0,0.5,1)",
        "b=tag(log,interval(0.0001,0.01)) has no end of values: give it a step or choices, such as "
        "b=choice(0.0001,0.001,0.01)",
    ]
    assert space.size() is None


def test_stored_parameters() -> None:
    space = parse_space({"a": [[1, 2], [3]], "b": "int(interval(1,9))"}, [])
    assert space.stored({"a": [1, 2], "b": 8.0, "c": [5]}) == {"a": "=[1,2]", "b": 8, "c": [5]}


@pytest.fixture
def app(tmp_path: Path) -> Callable[[list[str]], DictConfig]:
    """A foreign app with two groups; counts what is composed."""
    (tmp_path / "config.yaml").write_text("defaults: [_self_, db: mysql]\nnet: {rank: 8, name: a}\nseed: 1\n")
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "mysql.yaml").write_text("port: 1\n")
    (tmp_path / "db" / "sqlite.yaml").write_text("port: 2\n")

    def composed(overrides: list[str]) -> DictConfig:
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            config = compose("config", overrides)
        if not isinstance(config.net.rank, int):
            raise TypeError(f"net.rank is {config.net.rank}\nand more")
        if config.net.rank > 16 and config.db.port == 2:
            raise UserError(["too much for sqlite"])
        composed.calls.append(overrides)  # type: ignore[attr-defined]
        return config

    composed.calls = []  # type: ignore[attr-defined]
    return composed


def test_a_good_space_is_composed_once_per_end(app: Any) -> None:
    space = parse_space({"net.rank": "range(4,20,4)", "db": "mysql,sqlite", "+new": "interval(0,1)"}, ["seed=3"])
    check_space(space, app, groups=["db"])
    tried = [tuple(call) for call in app.calls]
    assert tried == [
        ("seed=3",),
        ("seed=3", "net.rank=4", "db=mysql", "+new=0.0"),
        ("seed=3", "net.rank=16", "db=sqlite", "+new=1.0"),
    ]


def test_an_unknown_key_names_the_nearest(app: Any) -> None:
    space = parse_space({"net.rnk": "4,8", "dbs": "a,b", "rank": "4,8", "quite.else": "1,2"}, [])
    assert problems(lambda: check_space(space, app, groups=["db"])) == [
        "net.rnk=choice(4,8): there is no key net.rnk; did you mean net.rank?",
        "dbs=choice(a,b): there is no key dbs; did you mean db?",
        "rank=choice(4,8): there is no key rank; did you mean net.rank?",
        "quite.else=choice(1,2): there is no key quite.else",
    ]


def test_a_wrong_value_is_told_for_the_parameter_that_has_it(app: Any) -> None:
    space = parse_space({"net.rank": "4,8,large", "db": "mysql,postgres", "seed": "1,2"}, [])
    found = problems(lambda: check_space(space, app, groups=["db"]))
    assert found[0].startswith("db=postgres: ")
    assert "net.rank=large: net.rank is large" in found
    assert len(found) == 2


def test_values_that_fail_only_together_are_told_together(app: Any) -> None:
    space = parse_space({"net.rank": "8,32", "db": "mysql,sqlite"}, [])
    assert problems(lambda: check_space(space, app, groups=["db"])) == ["net.rank=32 db=sqlite: too much for sqlite"]
