"""`hydra/sweeper=optuna` in an app that is not lorasweep's, from the command line to the files it leaves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

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


def test_the_same_command_resumes_and_n_trials_is_a_total(app, study_of, tmp_path):
    assert app(*SPACE, "hydra.sweeper.n_trials=3").returncode == 0
    first = study_of().trials
    done = app(*SPACE, "hydra.sweeper.n_trials=5")
    assert done.returncode == 0, done.stderr
    trials = study_of().trials
    assert len(trials) == 5 and [t.params for t in trials[:3]] == [t.params for t in first]
    assert len({t.params["x"] for t in trials}) == 5  # the seeded sampler does not draw the same again
    assert len(ran(tmp_path)) == 5
    assert app(*SPACE, "hydra.sweeper.n_trials=5").returncode == 0
    assert len(ran(tmp_path)) == 5  # nothing is trained twice


def test_a_study_of_something_else_is_not_resumed(app):
    assert app(*SPACE, "hydra.sweeper.n_trials=1").returncode == 0
    done = app(*SPACE, "hydra.sweeper.n_trials=2", "seed=8")
    assert done.returncode != 0 and "seed=8" in done.stderr and "study_name" in done.stderr
    done = app("x=interval(0,1)", "layers=choice([1],[2,3])", "hydra.sweeper.n_trials=2")
    assert done.returncode != 0 and "layers" in done.stderr and "Traceback" not in done.stderr


def test_an_app_that_only_returns_a_number(app, study_of, tmp_path):
    done = app(
        "how=returns", "n=1,2", "layers=choice([1],[2,3])", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=9"
    )
    assert done.returncode == 0, done.stderr
    trials = study_of().trials
    assert len(trials) == 4 and all(t.state is TrialState.COMPLETE for t in trials)  # the grid has four points
    assert sorted((entry["n"], entry["layers"]) for entry in ran(tmp_path)) == [
        (1, [1]),
        (1, [2, 3]),
        (2, [1]),
        (2, [2, 3]),
    ]


@pytest.mark.parametrize(
    ("how", "reason"), [("diverges", "nan, not a number"), ("raises", "RuntimeError: two is not allowed")]
)
def test_a_failing_trial_is_told_why_and_never_scored(app, study_of, how, reason):
    done = app(f"how={how}", "n=1,2,3", "hydra/sweeper/sampler=grid", "hydra.sweeper.max_failure_rate=0.4")
    assert done.returncode == 0, done.stderr
    failed = [t for t in study_of().trials if t.state is TrialState.FAIL]
    assert [t.params["n"] for t in failed] == [2] and failed[0].values is None
    assert reason in failed[0].user_attrs["reason"]


def test_too_many_failures_stop_the_study(app, study_of):
    done = app("how=raises", "n=choice(2)", "hydra.sweeper.n_trials=10", "hydra.sweeper.max_failure_rate=0.1")
    assert done.returncode != 0 and "max_failure_rate" in done.stderr and "two is not allowed" in done.stderr
    assert len(study_of().trials) == 2


def test_several_objectives_do_not_prune_and_give_a_front(app, study_of, tmp_path):
    done = app("how=two", *SPACE, "hydra.sweeper.direction=[minimize,maximize]", "hydra.sweeper.n_trials=6")
    assert done.returncode == 0, done.stderr
    assert "not pruned" in done.stdout
    trials = study_of().trials
    assert all(t.state is TrialState.COMPLETE and len(t.values) == 2 for t in trials)
    results = yaml.safe_load((tmp_path / "swept" / "optimization_results.yaml").read_text())
    assert len(results["solutions"]) == len(study_of().best_trials)


def test_wrong_settings_and_spaces_are_named_before_anything_runs(app, tmp_path):
    done = app("x=interval(0,1)", "modle.kind=a,b", "n=1.5,x")
    assert done.returncode != 0 and "did you mean model.kind?" in done.stderr and "Traceback" not in done.stderr
    done = app(*SPACE, "hydra.sweeper.n_trials=0", "hydra.sweeper.direction=up", "+hydra.sweeper.prunner=x")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "prunner" in done.stderr
    done = app(*SPACE, "hydra.sweeper.n_trials=0", "hydra.sweeper.direction=up")
    assert "n_trials=0" in done.stderr and "direction=up" in done.stderr
    assert app("n=3").returncode != 0  # nothing to search
    assert not (tmp_path / "ran").exists()


def test_trials_to_begin_with(app, study_of):
    line = (*SPACE, "hydra.sweeper.n_trials=3", "hydra.sweeper.enqueue=[{x:0.25,n:2},{x:0.75}]")
    assert app(*line).returncode == 0
    trials = study_of().trials
    assert trials[0].params == {"x": 0.25, "n": 2} and trials[1].params["x"] == 0.75
    assert app(*line[:-2], "hydra.sweeper.n_trials=5", line[-1]).returncode == 0
    assert sum(t.params["x"] == 0.25 for t in study_of().trials) == 1  # queued once in a study's life
    done = app("hydra.sweeper.study_name=other", *SPACE, "hydra.sweeper.enqueue=[{x:2,n:2},{y:1}]")
    assert done.returncode != 0 and "x=2.0 is outside of" in done.stderr and "y is not searched" in done.stderr


def test_constraints_keep_the_best_from_being_infeasible(app, study_of, tmp_path):
    line = ("n=1,2,3", "hydra/sweeper/sampler=grid", "hydra.sweeper.constraints=['size >= 15']")
    done = app(*line, "hydra/sweeper/pruner=none")
    assert done.returncode == 0, done.stderr
    results = yaml.safe_load((tmp_path / "swept" / "optimization_results.yaml").read_text())
    assert results["best_params"] == {"n": 2}
    assert {t.params["n"]: max(t.constraints.values()) > 0 for t in study_of().trials} == {1: True, 2: False, 3: False}


def test_an_interrupted_study_goes_on_with_the_trial_it_left(app, study_of):
    line = (*SPACE, "hydra.sweeper.n_trials=3", "how=exits")
    done = app(*line)
    assert done.returncode == 130 and "the same command goes on" in done.stdout
    first, again = study_of().trials
    assert first.state is TrialState.FAIL and first.user_attrs["interrupted"]
    assert again.state is TrialState.WAITING and again.user_attrs["retry_of"] == 0
    app(*line)
    trials = study_of().trials
    assert trials[1].params == first.params and trials[1].state is TrialState.COMPLETE
    assert set(first.intermediate_values.items()) <= set(trials[1].intermediate_values.items())


def test_repeats_under_further_seeds_and_folds(app, study_of, tmp_path):
    done = app(
        "n=1,2,3,4", "hydra/sweeper/sampler=grid", "hydra/sweeper/pruner=none", "hydra.sweeper.n_trials=4",
        "hydra.sweeper.repeats=3", "hydra.sweeper.finalists=2", "hydra.sweeper.seed_key=seed",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    finals = study_of("app:finals").trials
    assert [(t.user_attrs["of"], t.user_attrs["extra"]) for t in finals] == [
        (of, [f"seed={seed}"])
        for of in [t.number for t in sorted(study_of().trials, key=lambda t: t.value)[:2]]
        for seed in (8, 9)
    ]
    assert all(t.state is TrialState.COMPLETE for t in finals)
    assert len(study_of().trials) == 4
    done = app(
        "hydra.sweeper.study_name=folded", "n=1,2,3", "hydra/sweeper/sampler=grid", "hydra/sweeper/pruner=none",
        "hydra.sweeper.n_trials=3", "hydra.sweeper.folds=3", "hydra.sweeper.fold_overrides=['fold={fold}']",
        "hydra.sweeper.refit_overrides=['fold=0']",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    finals = study_of("folded:finals").trials
    assert [(t.user_attrs["stage"], t.user_attrs["extra"]) for t in finals] == [
        ("fold", ["fold=2"]), ("fold", ["fold=3"]), ("refit", ["fold=0"]),
    ]  # fmt: skip


def test_a_space_of_the_apps_own(app, study_of, tmp_path):
    (tmp_path / "spaces.py").write_text(
        "def space(config, trial):\n"
        "    if trial.suggest_categorical('model', ['small', 'large']) == 'large':\n"
        "        trial.suggest_int('n', 5, 6)\n"
        "def params(config):\n"
        "    return {'x': f'interval(0,{config.n})'}\n"
    )
    done = app(
        "hydra.sweeper.custom_search_space=spaces.space", "hydra.sweeper.params_from=spaces.params",
        "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.seed=3", "hydra/sweeper/pruner=none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trials = study_of().trials
    assert all(("n" in t.params) == (t.params["model"] == "large") for t in trials) and len(trials) == 6
    assert {(e["kind"], e["n"] >= 5) for e in ran(tmp_path)} == {("small", False), ("large", True)}
    assert any(t.params["x"] > 1 for t in trials)


def test_a_timeout_starts_no_further_trials(app, study_of):
    done = app(
        *SPACE, "pause=0.1", "hydra.sweeper.timeout=0.6", "hydra.sweeper.n_trials=50", "hydra/sweeper/pruner=none"
    )
    assert done.returncode == 0, done.stderr
    trials = study_of().trials
    assert 1 <= len(trials) < 50 and all(t.state is TrialState.COMPLETE for t in trials)
    assert "timeout" in done.stdout


def test_a_converged_study_stops(app, study_of):
    done = app("n=choice(1)", "hydra.sweeper.terminator=true", "hydra.sweeper.n_trials=30", "how=returns")
    assert done.returncode == 0, done.stderr
    assert len(study_of().trials) == 20 and "converged" in done.stdout


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


def test_the_sweeper_does_not_know_the_trainer():
    from lorasweep import sweeping

    allowed = re.compile(
        r"lorasweep\.(sweeping|errors|files|interruption|text)\b|lorasweep import (errors|files|sweeping)\b"
    )
    for path in Path(sweeping.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            if re.match(r"\s*(from|import) lorasweep", line):
                assert allowed.search(line), f"{path.name}: {line}"
