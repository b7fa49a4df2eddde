"""Samplers and pruners: every choice composes, builds, and has Optuna's defaults unless its file says otherwise."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hydra_plugins.lorasweep import conf
from lorasweep.errors import UserError
from lorasweep.search import choices
from lorasweep.search.space import parse_space

GROUPS = Path(conf.__file__).parent / "hydra" / "sweeper"
SAMPLERS = sorted(path.stem for path in (GROUPS / "sampler").glob("*.yaml"))
PRUNERS = sorted(path.stem for path in (GROUPS / "pruner").glob("*.yaml"))
# Values that Optuna has no default for, or that our file sets on purpose and explains.
OURS = {
    "median": {"n_startup_trials": 4, "n_min_trials": 2},
    "percentile": {"percentile": 25.0},
    "patient": {"patience": 1},
    "grid": {"search_space": None},
}
SPACE = parse_space({"x": "choice(1,2,3)", "y": "a,b"}, [])


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return `hydra.sweeper` of a foreign app that has nothing but a value, for overrides."""
    (tmp_path / "config.yaml").write_text("x: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):

        def sweeper(*overrides: str) -> dict[str, Any]:
            config = compose("config", ["hydra/sweeper=optuna", *overrides], return_hydra_config=True)
            return OmegaConf.to_container(config.hydra.sweeper, resolve=False)  # type: ignore[return-value]

        yield sweeper


def problem(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def test_all_that_the_documents_name_is_there() -> None:
    assert {"tpe", "random", "grid", "cmaes", "nsgaii", "nsgaiii", "qmc", "gp", "bruteforce"} <= set(SAMPLERS)
    assert {
        "median",
        "percentile",
        "successive_halving",
        "hyperband",
        "wilcoxon",
        "patient",
        "threshold",
        "none",
    } <= set(PRUNERS)


def test_the_defaults_and_their_names(composed: Callable[..., dict[str, Any]]) -> None:
    """`optuna` is `lorasweep`; the sampler is TPE and the pruner the median."""
    sweeper = composed()
    assert sweeper == composed("hydra/sweeper=lorasweep")
    assert sweeper["_target_"] == "hydra_plugins.lorasweep.optuna.OptunaSweeper"
    assert sweeper["sampler"]["_target_"] == "optuna.samplers.TPESampler"
    assert sweeper["pruner"]["_target_"] == "optuna.pruners.MedianPruner"
    assert sweeper["folder"] == "${hydra.sweep.dir}"


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_sampler_draws(name: str, composed: Callable[..., dict[str, Any]]) -> None:
    """Built from its file, it asks for trials inside the space; its arguments are Optuna's defaults."""
    spec = composed(f"hydra/sweeper/sampler={name}", "hydra.sweeper.sampler.seed=3")["sampler"]
    space = parse_space({"x": "range(1,4)", "y": "a,b"}, []) if name == "cmaes" else SPACE  # it needs a number
    sampler = choices.sampler(spec, space, ["minimize"])
    study = optuna.create_study(sampler=sampler)
    for _ in range(3):
        trial = study.ask(space.distributions)
        assert trial.params["x"] in (1, 2, 3)
        assert trial.params["y"] in ("a", "b")
    _holds_optunas_defaults(name, {**spec, "seed": None})


@pytest.mark.parametrize("name", PRUNERS)
def test_each_pruner_judges(name: str, composed: Callable[..., dict[str, Any]]) -> None:
    limits = ["hydra.sweeper.pruner.upper=1.0"] if name == "threshold" else []
    spec = composed(f"hydra/sweeper/pruner={name}", *limits)["pruner"]
    study = optuna.create_study(pruner=choices.pruner(spec))
    trial = study.ask()
    trial.report(2.0, 1)
    assert bool(trial.should_prune()) is (name == "threshold")
    if name != "threshold":
        _holds_optunas_defaults(name, spec)


def _holds_optunas_defaults(name: str, spec: dict[str, Any]) -> None:
    """What a file lists is Optuna's default, and shown so that one can tune it, unless `OURS` says otherwise."""
    module, _, kind = spec["_target_"].rpartition(".")
    accepted = inspect.signature(getattr(sys.modules[module], kind)).parameters
    for key, value in spec.items():
        if key in ("_target_", "wrapped_pruner"):
            continue
        expected = OURS.get(name, {}).get(key, accepted[key].default)
        assert value == expected, f"{name}: {key}={value}, Optuna has {expected}"
        assert type(value) is type(expected)


def test_the_median_prunes_from_the_fifth_trial_on(composed: Callable[..., dict[str, Any]]) -> None:
    """Four trials run to the end whatever they report; then the worse half is stopped."""
    study = optuna.create_study(pruner=choices.pruner(composed()["pruner"]))
    for value in (1.0, 2.0, 3.0, 4.0):
        trial = study.ask()
        trial.report(value, 10)
        assert not trial.should_prune()
        study.tell(trial, value)
    for value, stops in ((2.6, True), (2.4, False)):
        trial = study.ask()
        trial.report(value, 10)
        assert bool(trial.should_prune()) is stops


def test_patience_wraps_a_median(composed: Callable[..., dict[str, Any]]) -> None:
    spec = composed("hydra/sweeper/pruner=patient", "hydra.sweeper.pruner.wrapped_pruner.n_startup_trials=2")["pruner"]
    pruner = choices.pruner(spec)
    assert isinstance(pruner._wrapped_pruner, optuna.pruners.MedianPruner)
    assert pruner._wrapped_pruner._n_startup_trials == 2


def test_a_grid_covers_the_space_once_and_in_the_same_order_when_resumed() -> None:
    spec = {"_target_": "optuna.samplers.GridSampler", "seed": 5}
    study = optuna.create_study()
    seen = []
    for done in range(6):
        study.sampler = choices.sampler(spec, SPACE, ["minimize"], trials_so_far=done)
        seen.append(tuple(study.ask(SPACE.distributions).params.values()))
    assert len(set(seen)) == 6


def test_a_resumed_study_does_not_repeat_its_draws() -> None:
    spec = {"_target_": "optuna.samplers.RandomSampler", "seed": 5}
    space = parse_space({"x": "interval(0,1)"}, [])

    def first_draw(so_far: int) -> float:
        study = optuna.create_study(sampler=choices.sampler(spec, space, ["minimize"], so_far))
        return float(study.ask(space.distributions).params["x"])

    assert first_draw(0) == first_draw(0)
    assert first_draw(0) != first_draw(4)


def test_an_unknown_argument_names_the_nearest() -> None:
    told = problem(
        lambda: choices.build({"_target_": "optuna.samplers.TPESampler", "n_startup_trial": 3}, "hydra.sweeper.sampler")
    )
    assert "hydra.sweeper.sampler.n_startup_trial: there is no such key; did you mean n_startup_trials?" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"seed": "abc"}, "hydra.sweeper.sampler.seed=abc: expected a whole number or null"),
        ({"seed": 1.5}, "hydra.sweeper.sampler.seed=1.5: expected a whole number or null"),
        ({"n_startup_trials": "few"}, "hydra.sweeper.sampler.n_startup_trials=few: expected a whole number"),
        ({"multivariate": 3}, "hydra.sweeper.sampler.multivariate=3: expected true or false or null"),
    ],
)
def test_an_argument_of_another_type_is_named(arguments: dict[str, Any], told: str) -> None:
    spec = {"_target_": "optuna.samplers.TPESampler"} | arguments
    assert problem(lambda: choices.sampler(spec, SPACE, ["minimize"])) == told


def test_a_missing_argument_is_named() -> None:
    told = problem(lambda: choices.build({"_target_": "optuna.pruners.PercentilePruner"}, "hydra.sweeper.pruner"))
    assert "percentile is missing" in told


def test_a_value_that_optuna_refuses_is_quoted() -> None:
    told = problem(
        lambda: choices.build(
            {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": -1}, "hydra.sweeper.sampler"
        )
    )
    assert "MedianPruner(n_startup_trials=-1): " in told
    assert "negative" in told


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("optuna.samplers.TPESample", "did you mean optuna.samplers.TPESampler?"),
        ("optuna.sampler.TPESampler", "there is no module optuna.sampler"),
        ("TPESampler", "expected a name such as"),
        (None, "expected _target_"),
    ],
)
def test_a_wrong_target(target: str | None, told: str) -> None:
    assert told in problem(lambda: choices.build({"_target_": target}, "hydra.sweeper.sampler"))


def test_a_pruner_is_no_sampler_and_the_other_way_round() -> None:
    nop, random = {"_target_": "optuna.pruners.NopPruner"}, {"_target_": "optuna.samplers.RandomSampler"}
    assert "no sampler" in problem(lambda: choices.sampler(nop, SPACE, ["minimize"]))
    assert "no pruner" in problem(lambda: choices.pruner(random))


def test_a_missing_package_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = choices.importlib.util.find_spec
    monkeypatch.setattr(choices.importlib.util, "find_spec", lambda name: None if name == "cmaes" else found(name))
    told = problem(lambda: choices.sampler({"_target_": "optuna.samplers.CmaEsSampler"}, SPACE, ["minimize"]))
    assert told == "CmaEsSampler needs a package that is not installed: pip install cmaes"


def test_cmaes_has_one_objective_and_needs_a_number() -> None:
    spec = {"_target_": "optuna.samplers.CmaEsSampler"}
    assert "all parameters are choices" in problem(lambda: choices.sampler(spec, SPACE, ["minimize"]))
    assert "one objective, not 2" in problem(lambda: choices.sampler(spec, SPACE, ["minimize", "maximize"]))


def test_a_grid_of_an_endless_space_is_refused() -> None:
    spec = {"_target_": "optuna.samplers.GridSampler"}
    space = parse_space({"x": "interval(0,1)"}, [])
    assert "has no end of values" in problem(lambda: choices.sampler(spec, space, ["minimize"]))


def test_hydras_own_words_are_no_arguments() -> None:
    spec = {"_target_": "optuna.samplers.RandomSampler", "_convert_": "all", "_recursive_": True, "seed": 1}
    assert isinstance(choices.build(spec, "hydra.sweeper.sampler"), optuna.samplers.RandomSampler)


@pytest.mark.parametrize("inner", ["GridSampler", "BruteForceSampler"])
def test_a_sampler_within_another_does_not_stop_the_study_either(inner: str) -> None:
    """Optuna's own would raise where a study is not run by `Study.optimize`."""
    base = {"_target_": f"optuna.samplers.{inner}"} | (
        {"search_space": {"x": [1, 2]}} if inner == "GridSampler" else {}
    )
    spec = {"_target_": "optuna.samplers.PartialFixedSampler", "fixed_params": {}, "base_sampler": base}
    space = parse_space({"x": "choice(1, 2)"}, [])
    study = optuna.create_study(sampler=choices.sampler(spec, space, ["minimize"]))
    for _ in range(2):
        trial = study.ask(dict(space.distributions))
        study.tell(trial, float(trial.params["x"]))
    assert {trial.params["x"] for trial in study.trials} == {1, 2}
