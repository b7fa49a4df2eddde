"""`hydra/sweeper=optuna` in an app that is not lorasweep's, from the command line to the files it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

import lorasweep.search

SPACE = ("x=interval(0,1)", "n=range(1,4)", "hydra.sweeper.sampler.seed=1")


def ran(folder: Path) -> list[dict]:
    """Return the configs that the app was run with."""
    return [json.loads(line) for path in (folder / "ran").iterdir() for line in path.read_text().splitlines()]


def test_a_search_from_the_command_line(app, study_of, tmp_path):
    done = app(*SPACE, "hydra.sweeper.n_trials=8", "model=large", plots=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "swept" / "plots").glob("*.png"))) >= 4
    study = study_of()
    trials = study.trials
    assert [t.number for t in trials] == list(range(8))
    states = {t.state for t in trials}
    assert states <= {TrialState.COMPLETE, TrialState.PRUNED} and TrialState.COMPLETE in states
    assert all(type(t.params["n"]) is int and t.params["n"] in (1, 2, 3) for t in trials)
    seen = ran(tmp_path)
    assert len(seen) == 8 and {entry["kind"] for entry in seen} == {"large"}
    assert {(entry["x"], entry["n"]) for entry in seen} == {(t.params["x"], t.params["n"]) for t in trials}
    results = yaml.safe_load((tmp_path / "swept" / "optimization_results.yaml").read_text())
    assert results["name"] == "optuna" and results["best_value"] == pytest.approx(study.best_value)
    assert results["best_params"] == study.best_params
    pruned = [t for t in trials if t.state is TrialState.PRUNED]
    assert pruned and all("MedianPruner" in t.user_attrs["reason"] for t in pruned)
    assert all(len(t.intermediate_values) < 5 for t in pruned)


def reporting(job: Any) -> None:
    """Report five values on the way to (x - 0.3) squared + n, and finish with it; `kind` says what goes wrong."""
    with lorasweep.search.trial() as trial:
        assert trial is not None
        for step in range(5):
            if job.kind == "raises" and job.n == 2:
                raise RuntimeError("two is\nnot allowed")
            if job.kind == "exits" and trial.retry_of is None and step == 2:
                raise SystemExit(130)
            value = (job.x - 0.3) ** 2 + job.n + (4 - step) * (1 + job.x)
            if reason := trial.report(step, value):
                trial.prune(reason)
                return
        trial.note(metrics={"size": job.n * 10.0}, version=f"toy v{trial.number + 1}")
        trial.finish(float("nan") if job.kind == "diverges" and job.n == 2 else value)


def test_the_same_command_resumes_and_n_trials_is_a_total(search: Any) -> None:
    search.task = reporting
    search(*SPACE, "hydra.sweeper.n_trials=3")
    first = search.study().trials
    search(*SPACE, "hydra.sweeper.n_trials=5")
    trials = search.study().trials
    assert len(trials) == 5 and [t.params for t in trials[:3]] == [t.params for t in first]
    assert len({t.params["x"] for t in trials}) == 5  # the seeded sampler does not draw the same again
    search(*SPACE, "hydra.sweeper.n_trials=5")
    assert len(search.ran) == 5  # nothing is trained twice


def test_a_study_of_something_else_is_not_resumed(search: Any, capsys: Any) -> None:
    search(*SPACE, "hydra.sweeper.n_trials=1")
    for name, line, told in (
        ("eight", (*SPACE, "seed=8"), "seed=8"),
        ("layered", ("x=interval(0,1)", "layers=choice([1],[2,3])"), "layers"),
    ):
        with pytest.raises(SystemExit):
            search(*line, "hydra.sweeper.n_trials=2")
        said = capsys.readouterr().err
        assert told in said and "hydra.sweeper.study_name=" in said
        search(*line, "hydra.sweeper.n_trials=2", f"hydra.sweeper.study_name={name}")  # the advice, followed


def test_an_app_that_only_returns_a_number(search: Any) -> None:
    search.task = lambda job: search.ran.append(list(job.layers)) or float(job.n)
    search("n=1,2", "layers=choice([1],[2,3])", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=9")
    trials = search.study().trials
    assert len(trials) == 4 and all(t.state is TrialState.COMPLETE for t in trials)  # the grid has four points
    assert sorted(search.ran[1::2]) == [[1], [1], [2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("kind", "reason"), [("diverges", "nan, not a number"), ("raises", "RuntimeError: two is not allowed")]
)
def test_a_failing_trial_is_told_why_and_never_scored(search: Any, kind: str, reason: str) -> None:
    search.task = reporting
    search(f"kind={kind}", "n=1,2,3", "hydra/sweeper/sampler=grid", "hydra.sweeper.max_failure_rate=0.4")
    failed = [t for t in search.study().trials if t.state is TrialState.FAIL]
    assert [t.params["n"] for t in failed] == [2] and failed[0].values is None
    assert reason in failed[0].user_attrs["reason"]


def test_too_many_failures_stop_the_study(search: Any, capsys: Any) -> None:
    search.task = reporting
    with pytest.raises(SystemExit):
        search("kind=raises", "n=choice(2)", "hydra.sweeper.n_trials=10", "hydra.sweeper.max_failure_rate=0.1")
    told = capsys.readouterr().err
    assert "max_failure_rate" in told and "two is not allowed" in told
    assert len(search.study().trials) == 2


def test_several_objectives_do_not_prune_and_give_a_front(search: Any) -> None:
    search.task = lambda job: [job.x, job.n]
    search(*SPACE, "hydra.sweeper.direction=[minimize,maximize]", "hydra.sweeper.n_trials=6")
    trials = search.study().trials
    assert all(t.state is TrialState.COMPLETE and len(t.values) == 2 for t in trials)
    results = yaml.safe_load((search.folder / "optimization_results.yaml").read_text())
    assert len(results["solutions"]) == len(search.study().best_trials)


def test_wrong_settings_and_spaces_are_named_before_anything_runs(search: Any, capsys: Any) -> None:
    for line, told in (
        (("x=interval(0,1)", "layrs=1,2", "n=1.5,x"), ["did you mean layers?"]),
        ((*SPACE, "+hydra.sweeper.prunner=x"), ["prunner", "did you mean pruner?"]),
        ((*SPACE, "hydra.sweeper.n_trials=0", "hydra.sweeper.direction=up"), ["n_trials=0", "direction=[up]"]),
        (("n=3",), ["there is nothing to search"]),
    ):
        with pytest.raises(SystemExit):
            search(*line)
        said = capsys.readouterr().err
        assert all(part in said for part in told), said
    assert not search.ran


def test_trials_to_begin_with(search: Any, capsys: Any) -> None:
    first = "hydra.sweeper.enqueue=[{x:0.25,n:2},{x:0.75}]"
    search(*SPACE, "hydra.sweeper.n_trials=3", first)
    trials = search.study().trials
    assert trials[0].params == {"x": 0.25, "n": 2} and trials[1].params["x"] == 0.75
    search(*SPACE, "hydra.sweeper.n_trials=5", first)
    assert sum(t.params["x"] == 0.25 for t in search.study().trials) == 1  # queued once in a study's life
    with pytest.raises(SystemExit):
        search("hydra.sweeper.study_name=other", *SPACE, "hydra.sweeper.enqueue=[{x:2,n:2},{y:1}]")
    told = capsys.readouterr().err
    assert "x=2.0 is outside of" in told and "y is not searched" in told


def test_constraints_keep_the_best_from_being_infeasible(search: Any) -> None:
    search.task = reporting
    line = ("n=1,2,3", "hydra/sweeper/sampler=grid", "hydra.sweeper.constraints=['size >= 15']")
    search(*line, "hydra/sweeper/pruner=none")
    results = yaml.safe_load((search.folder / "optimization_results.yaml").read_text())
    assert results["best_params"] == {"n": 2}
    broken = {t.params["n"]: max(t.constraints.values()) > 0 for t in search.study().trials}
    assert broken == {1: True, 2: False, 3: False}


def test_an_interrupted_study_goes_on_with_the_trial_it_left(search: Any, capsys: Any) -> None:
    search.task = reporting
    line = (*SPACE, "hydra.sweeper.n_trials=3", "kind=exits")
    with pytest.raises(SystemExit) as left:
        search(*line)
    out = capsys.readouterr().out
    assert left.value.code == 130 and "the same command goes on:\n  python" in out
    first, again = search.study().trials
    assert first.state is TrialState.FAIL and first.user_attrs["interrupted"]
    assert again.state is TrialState.WAITING and again.user_attrs["retry_of"] == 0
    with pytest.raises(SystemExit):
        search(*line)
    trials = search.study().trials
    assert trials[1].params == first.params and trials[1].state is TrialState.COMPLETE
    assert set(first.intermediate_values.items()) <= set(trials[1].intermediate_values.items())


def test_repeats_under_further_seeds_and_folds(search: Any) -> None:
    search.task = lambda job: float(job.n)
    search(
        "n=1,2,3,4", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=4",
        "hydra.sweeper.repeats=3", "hydra.sweeper.finalists=2", "hydra.sweeper.seed_key=seed",
    )  # fmt: skip
    finals = search.study("app:finals").trials
    assert [(t.user_attrs["of"], t.user_attrs["extra"]) for t in finals] == [
        (of, [f"seed={seed}"])
        for of in [t.number for t in sorted(search.study().trials, key=lambda t: t.value)[:2]]
        for seed in (8, 9)
    ]
    assert all(t.state is TrialState.COMPLETE for t in finals)
    assert len(search.study().trials) == 4
    search(
        "hydra.sweeper.study_name=folded", "n=1,2,3", "hydra/sweeper/sampler=grid",
        "hydra.sweeper.n_trials=3", "hydra.sweeper.folds=3", "hydra.sweeper.fold_overrides=['top={fold}']",
        "hydra.sweeper.refit_overrides=['top=0']",
    )  # fmt: skip
    finals = search.study("folded:finals").trials
    assert [(t.user_attrs["stage"], t.user_attrs["extra"]) for t in finals] == [
        ("fold", ["top=2"]), ("fold", ["top=3"]), ("refit", ["top=0"]),
    ]  # fmt: skip


def test_a_space_of_the_apps_own(search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spaces.py").write_text(
        "def space(config, trial):\n"
        "    if trial.suggest_categorical('kind', ['small', 'large']) == 'large':\n"
        "        trial.suggest_int('n', 5, 6)\n"
        "def params(config):\n"
        "    return {'x': f'interval(0,{config.n})'}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    search(
        "hydra.sweeper.custom_search_space=spaces.space", "hydra.sweeper.params_from=spaces.params",
        "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.seed=3",
    )  # fmt: skip
    trials = search.study().trials
    assert all(("n" in t.params) == (t.params["kind"] == "large") for t in trials) and len(trials) == 6
    assert {n >= 5 for _, n in search.ran} == {True, False}
    assert any(t.params["x"] > 1 for t in trials)


def test_a_timeout_starts_no_further_trials(search: Any, capsys: Any) -> None:
    search(*SPACE, "hydra.sweeper.timeout=0.01", "hydra.sweeper.n_trials=50")
    trials = search.study().trials
    assert 0 < len(trials) < 50 and all(t.state is TrialState.COMPLETE for t in trials)
    assert "timeout" in capsys.readouterr().out


def test_a_converged_study_stops(search: Any, capsys: Any) -> None:
    search("x=choice(3)", "hydra.sweeper.terminator=true", "hydra.sweeper.n_trials=30")
    assert len(search.study().trials) == 20 and "converged" in capsys.readouterr().out


def test_hydra_finds_the_plugins(app, tmp_path):
    line = [sys.executable, "app.py", "--info", "plugins"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert "OptunaSweeper" in done.stdout and "LanesLauncher" in done.stdout


def test_it_wins_where_another_plugin_has_the_same_name(app, study_of, tmp_path, monkeypatch):
    other = tmp_path / "other" / "hydra_plugins" / "zz_optuna_sweeper"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (other / "config.py").write_text(
        "from hydra.core.config_store import ConfigStore\n"
        "ConfigStore.instance().store(group='hydra/sweeper', name='optuna', node={'_target_': 'other.Sweeper'})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    assert app(*SPACE, "hydra.sweeper.n_trials=1").returncode == 0
    assert len(study_of().trials) == 1


def test_a_config_that_was_written_for_the_official_plugin_runs(app, study_of, tmp_path):
    """As public repositories have it: the class by its name, and all keys spelled out."""
    (tmp_path / "conf" / "hparams").mkdir()
    (tmp_path / "conf" / "hparams" / "optuna.yaml").write_text(
        "# @package _global_\n"
        "defaults: [{override /hydra/sweeper: optuna}]\n"
        "hydra:\n"
        "  sweeper:\n"
        "    _target_: hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper\n"
        "    storage: null\n"
        "    study_name: null\n"
        "    n_jobs: 2\n"
        "    direction: maximize\n"
        "    n_trials: 2\n"
        "    sampler:\n"
        "      _target_: optuna.samplers.TPESampler\n"
        "      seed: 1234\n"
        "      n_startup_trials: 10\n"
        "    params:\n"
        "      x: interval(0.0001, 0.1)\n"
        "      n: choice(1, 2)\n"
    )
    done = app("+hparams=optuna")
    assert done.returncode == 0, done.stderr
    assert [t.state for t in study_of().trials] == [TrialState.COMPLETE] * 2
    assert study_of().direction.name == "MAXIMIZE"
    assert "hydra.sweeper.n_jobs=2: the basic launcher runs one trial after another" in done.stdout
