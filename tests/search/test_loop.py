"""A search from its first trial to its last, in this process: values, failures, what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from optuna.trial import TrialState

import lorasweep.search
from lorasweep.errors import UserError

X = "x=interval(0.0,1.0)"
TWO = ("hydra.sweeper.direction=[minimize,maximize]",)


@pytest.mark.parametrize(
    "value",
    [np.float32(0.5), np.array(0.5), torch.tensor(0.5), [0.5], "0.5"],
    ids=["float32", "array", "tensor", "list", "text"],
)
def test_a_task_may_return_any_number(search: Any, value: Any) -> None:
    search.task = lambda job: value
    assert search(X, "hydra.sweeper.n_trials=1") == 0.5


def test_several_objectives_of_any_kind(search: Any, capsys: Any) -> None:
    search.task = lambda job: torch.tensor([0.5, 1.0])
    search(X, "hydra.sweeper.n_trials=2", "hydra.sweeper.direction=[minimize,maximize]")
    assert [t.values for t in search.study().trials] == [[0.5, 1.0]] * 2
    assert "several objectives: trials are not pruned" in capsys.readouterr().out
    found = yaml.safe_load((search.folder / "optimization_results.yaml").read_text())
    assert [solution["trial"] for solution in found["solutions"]] == [0, 1]


def test_the_results_name_the_best_trial_and_are_named_only_if_written(search: Any, capsys: Any) -> None:
    search("x=3,1,2", "hydra/sweeper/sampler=grid")
    found = yaml.safe_load((search.folder / "optimization_results.yaml").read_text())
    assert search.study().trials[found["best_trial"]].params == found["best_params"] == {"x": 1}
    search.task = lambda job: None
    capsys.readouterr()
    search(X, "hydra.sweeper.n_trials=1", "hydra.sweeper.max_failure_rate=1", "hydra.sweeper.study_name=bad")
    assert "results   swept/bad/leaderboard.csv" in capsys.readouterr().out
    assert not (search.folder / "bad" / "optimization_results.yaml").exists()


def test_the_traceback_of_a_failed_trial_is_kept_and_named(search: Any, capsys: Any) -> None:
    def task(job: Any) -> float:
        if len(search.ran) == 1:
            raise KeyError("injected")
        if len(search.ran) == 2:
            with lorasweep.search.trial():
                return float({}["within"])
        if len(search.ran) == 3:
            raise UserError("give another path")
        return 1.0

    search.task = task
    search(X, "hydra.sweeper.n_trials=4", "hydra.sweeper.max_failure_rate=1")
    traces = {path.name: path.read_text() for path in (search.folder / "failed").iterdir()}
    assert set(traces) == {"0.txt", "1.txt"}  # what is meant for the user needs none
    assert 'raise KeyError("injected")' in traces["0.txt"] and '{}["within"]' in traces["1.txt"]
    out = capsys.readouterr().out
    assert "trial 0: failed, KeyError: 'injected', traceback in swept/failed/0.txt" in out
    assert "trial 1: failed, KeyError: 'within', traceback in swept/failed/1.txt" in out
    assert "give another path" in out and "failed/2.txt" not in out


def test_when_the_cause_is_gone_the_same_command_tries_what_failed_again(search: Any, capsys: Any) -> None:
    line = (X, "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.seed=1")
    good = search.task

    def broken(job: Any) -> float:
        raise RuntimeError("no such folder")

    search.task = broken
    with pytest.raises(SystemExit) as left:
        search(*line)
    told = capsys.readouterr().err
    assert left.value.code == 2 and "4 trials failed, more than hydra.sweeper.max_failure_rate=0.5 of 6" in told
    assert "the same command tries them again" in told and "traceback in swept/failed/3.txt" in told
    search.task = good
    search(*line)  # the advice, followed
    trials = search.study().trials
    assert "4 trials had failed, which stopped the study; they are tried again (the last: RuntimeError: no such" in (
        capsys.readouterr().out
    )
    assert sum(t.state is TrialState.COMPLETE for t in trials) == 6
    assert [t.params for t in trials[4:8]] == [t.params for t in trials[:4]]
    assert [t.user_attrs["retry_of"] for t in trials[4:8]] == [0, 1, 2, 3]
    search(*line)
    assert len(search.study().trials) == len(trials)  # nothing is left to do


def test_old_failures_do_not_stop_what_is_left(search: Any) -> None:
    good = search.task

    def some(job: Any) -> Any:
        return None if len(search.ran) in (1, 2) else good(job)

    search.task = some
    search(X, "hydra.sweeper.n_trials=4")  # two of four failed: not more than half
    search(X, "hydra.sweeper.n_trials=4", "hydra.sweeper.max_failure_rate=0.5")
    search.task = lambda job: None if len(search.ran) == 5 else good(job)
    search(X, "hydra.sweeper.n_trials=6")  # a third, but only one of the two that were left
    assert [t.state.name for t in search.study().trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]


def test_a_space_of_ones_own_that_raises_leaves_no_zombie(
    search: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = tmp_path / "own_space.py"
    module.write_text("def space(config, trial):\n    raise LookupError('not yet')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    line = (X, "hydra.sweeper.custom_search_space=own_space.space", "hydra.sweeper.n_trials=2")
    with pytest.raises(SystemExit) as left:
        search(*line)
    told = capsys.readouterr().err
    assert left.value.code == 2 and "own_space.space cannot suggest a trial: LookupError: not yet" in told
    assert "the same command goes on" in told
    assert [t.state for t in search.study().trials] == [TrialState.FAIL, TrialState.WAITING]
    import own_space  # type: ignore[import-not-found]

    monkeypatch.setattr(own_space, "space", lambda config, trial: trial.suggest_int("n", 5, 6))
    search(*line)
    trials = search.study().trials
    assert [t.state for t in trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert trials[1].params["x"] == trials[0].params["x"] and trials[1].params["n"] in (5, 6)


def test_a_sampler_that_fails_at_its_first_draw_leaves_no_zombie_either(search: Any, capsys: Any) -> None:
    line = (X, "hydra.sweeper.n_trials=3")
    search.task = lambda job: job.x
    bad = ("hydra.sweeper.sampler.n_startup_trials=0", "hydra.sweeper.sampler.n_ei_candidates=-1")
    with pytest.raises(SystemExit):
        search(*line, *bad)
    assert "TPESampler cannot suggest a trial" in capsys.readouterr().err
    assert TrialState.RUNNING not in [t.state for t in search.study().trials]
    search(*line)
    assert sum(t.state is TrialState.COMPLETE for t in search.study().trials) == 3


def test_an_app_that_leaves_by_itself_is_not_run_for_ever(search: Any) -> None:
    def leaves(job: Any) -> None:
        with lorasweep.search.trial():
            raise SystemExit(3)

    search.task = leaves
    search(X, "hydra.sweeper.n_trials=2", "hydra.sweeper.max_failure_rate=1")
    assert [t.user_attrs["reason"] for t in search.study().trials] == ["it left by itself, with exit code 3"] * 2


def test_a_grid_leaves_out_what_was_tried_first(search: Any) -> None:
    search("x=1,2,3", "n=4,5", "hydra/sweeper/sampler=grid", "hydra.sweeper.enqueue=[{x:3,n:5},{x:1,n:4}]")
    assert search.ran[:2] == [(3, 5), (1, 4)]
    assert sorted(search.ran) == [(x, n) for x in (1, 2, 3) for n in (4, 5)]


def test_every_combination_is_tried_once_and_the_last_one_counts(search: Any) -> None:
    search("x=1,2,3", "n=4", "hydra/sweeper/sampler=bruteforce", "hydra.sweeper.n_trials=5")
    assert sorted(search.ran) == [(1, 4), (2, 4), (3, 4)]
    assert [trial.state.name for trial in search.study().trials] == ["COMPLETE"] * 3


def test_shares_of_another_key_are_shown_as_such_everywhere(search: Any, capsys: Any) -> None:
    OmegaConf.register_new_resolver("of_x", lambda share: share, replace=True)
    search.task = lambda job: float(job.kind)
    search("kind=0,'${of_x:0.5}','${of_x:0.1}'", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=3")
    out = capsys.readouterr().out
    assert "kind  choice(0,0.5 x x,0.1 x x)" in out
    assert search.study().best_params == {"kind": 0}
    table = (search.folder / "leaderboard.csv").read_text()
    assert "0.5 x x" in table and "${" not in out + table
    assert {t.params["kind"] for t in search.study().trials} == {0, "0.5 x x", "0.1 x x"}  # so do Optuna's own tools
    assert search.study().user_attrs["space"] == {"kind": "choice(0,${of_x:0.5},${of_x:0.1})"}


def test_a_storage_that_goes_away_is_told_in_words(search: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.exceptions import StorageInternalError

    from lorasweep.search import sweeper

    def gone(*_: Any) -> None:
        raise StorageInternalError("the connection was closed")

    monkeypatch.setattr(sweeper, "_confirm", gone)
    with pytest.raises(SystemExit) as left:
        search(X, "hydra.sweeper.n_trials=1")
    told = capsys.readouterr().err
    assert left.value.code == 2 and "does not answer any more" in told and "the connection was closed" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("hydra.sweeper.n_jobs=2",), "add hydra/launcher=lanes for 2 at a time"),
        (
            ("hydra.sweeper.direction=[minimize,maximize]", "hydra/sweeper/pruner=hyperband"),
            "hyperband: Optuna's pruners",
        ),
        (
            ("hydra.sweeper.direction=[minimize,maximize]", "hydra.sweeper.pruner.n_warmup_steps=3"),
            "compare a single value",
        ),
        (("hydra.sweeper.pruner={_target_:optuna.samplers.RandomSampler}",), "is no pruner of Optuna's"),
        (("hydra.sweeper.sampler={_target_:optuna.pruners.NopPruner}",), "is no sampler of Optuna's"),
        (("hydra.sweeper.seed_key=sead", "hydra.sweeper.repeats=2"), "there is no key sead; did you mean seed?"),
        (("hydra.sweeper.seed_key=x", "hydra.sweeper.repeats=2"), "is searched, so that repeats cannot vary it"),
        (("hydra.sweeper.folds=2", "hydra.sweeper.fold_overrides=['fold={fold}']"), "fold_overrides=fold=1: "),
        (("hydra.sweeper.hooks=no.such.module",), "expected a module (ModuleNotFoundError"),
        (("hydra.sweeper.custom_search_space=os.path.no",), "os.path has no function no"),
        (("hydra.sweeper.enqueue=nowhere.yaml",), "expected a list, a YAML file, or a word"),
        (("hydra.sweeper.storage=mongodb://host/x",), "not a known form"),
        (("hydra/launcher=lanes", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=3"), "give one of them"),
        (("hydra/launcher=lanes", "hydra.launcher.gpus=[5]"), "gpus=[5]: visible here are 0, 1"),
        (("hydra/launcher=lanes", "hydra.launcher.grace_s=soon"), "grace_s=soon: expected a number"),
        (("hydra/launcher=lanes", "+hydra.launcher.njobs=2"), "njobs: there is no such key; did you mean n_jobs?"),
    ],
)
def test_what_cannot_act_where_it_stands_is_refused_with_the_reason(
    search: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(SystemExit) as left:
        search(X, *line)
    assert left.value.code == 2
    assert told in capsys.readouterr().err
    assert not search.ran and not search.folder.exists()


def test_everything_wrong_with_settings_space_and_launcher_is_told_at_once(search: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        search("y=1,2", "hydra.sweeper.n_trials=0", "hydra.sweeper.sampler.seed=abc", "hydra.sweeper.n_jobs=2")
    told = capsys.readouterr().err
    assert "(4 problems)" in told
    assert [part in told for part in ("n_trials=0", "n_jobs=2", "sampler.seed=abc", "there is no key y")] == [True] * 4


def test_no_pruner_is_null_too(search: Any) -> None:
    search(X, "hydra.sweeper.pruner=null", "hydra.sweeper.n_trials=1")
    assert len(search.ran) == 1


def test_interpolations_in_params_are_resolved_where_only_then_they_are_a_sweep(search: Any) -> None:
    search("+hydra.sweeper.params={n:'range(1,${top})'}", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=9")
    assert sorted(n for _, n in search.ran) == [1, 2, 3]


def test_params_of_the_command_line_may_be_nested_and_added_one_by_one(search: Any) -> None:
    search(
        "++hydra.sweeper.params.n='4,5'", "++hydra.sweeper.params.x='choice(1,${top})'", "hydra/sweeper/sampler=grid"
    )
    assert sorted(search.ran) == [(x, n) for x in (1, 4) for n in (4, 5)]


def test_seconds_are_measured_of_every_trial_and_constraints_hold_for_a_task_that_only_returns(search: Any) -> None:
    slow = "hydra.sweeper.constraints=['seconds <= 0']"
    search("x=1,2", "hydra/sweeper/sampler=grid", slow)
    assert all(t.constraints["seconds <= 0"] > 0 for t in search.study().trials)
    assert not (search.folder / "optimization_results.yaml").exists()  # none keeps it

    def task(job: Any) -> None:
        with lorasweep.search.trial() as trial:
            assert trial is not None
            trial.finish(job.x)

    search.task = task
    line = ("x=1,2", "hydra/sweeper/sampler=grid", "hydra.sweeper.study_name=telling")
    search(*line, "hydra.sweeper.constraints=['seconds <= 600']")
    assert all(-600 <= t.constraints["seconds <= 600"] < 0 for t in search.study("telling").trials)


def test_a_constraint_on_what_was_not_measured_fails_the_trial_with_the_nearest_name(search: Any) -> None:
    many = "hydra.sweeper.max_failure_rate=1"
    search("x=1,2", "hydra/sweeper/sampler=grid", "hydra.sweeper.constraints=['secnds <= 600']", many)
    told = "needs the metric secnds, which was not measured; did you mean seconds?"
    assert all(t.state is TrialState.FAIL and told in t.user_attrs["reason"] for t in search.study().trials)


def test_an_app_that_says_what_it_measures_has_its_constraints_checked_at_once(
    search: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own_hooks.py").write_text("def metrics(config):\n    return ['size', 'steps']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    line = (X, "hydra.sweeper.hooks=own_hooks", "hydra.sweeper.n_trials=1")
    with pytest.raises(SystemExit):
        search(*line, "hydra.sweeper.constraints=['sizes <= 1']", "hydra.sweeper.tie_breakers=[step,n]")
    told = capsys.readouterr().err
    assert "sizes <= 1: no trial measures sizes; did you mean size?; measured are size, steps, seconds" in told
    assert "there is no parameter or metric step; did you mean steps?" in told
    search(*line, "hydra.sweeper.tie_breakers=[steps,n]", "hydra.sweeper.constraints=['seconds <= 600']")
    assert len(search.ran) == 1


def test_a_study_with_nothing_left_to_do_says_so(search: Any, capsys: Any) -> None:
    search(X, "hydra.sweeper.n_trials=2")
    assert "have ended" not in capsys.readouterr().out
    search(X, "hydra.sweeper.n_trials=2")
    assert "all 2 trials have ended: give more hydra.sweeper.n_trials to go on" in capsys.readouterr().out
    search(X, "hydra.sweeper.n_trials=3")  # the advice, followed
    assert len(search.ran) == 3
