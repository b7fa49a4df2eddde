"""What a search says of its trials as versions: which are as good as the best, what they keep, what they will take."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import optuna
import pytest
from omegaconf import DictConfig
from optuna.trial import create_trial

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.schema import Config
from lorasweep.search.ranking import RankedTrial, best, rows
from lorasweep.studies import hooks, results, trials
from lorasweep.training import disk


def a_study(values: list[float], metric: str = "val/loss_ratio", direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    study.set_metric_names([metric])
    for number, value in enumerate(values):
        study.add_trial(create_trial(value=value, user_attrs={"version": f"FuzzyBear v{6 + number}"}))
    return study


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([0.5, 0.505, 0.6], ["v7"]),
        ([0.5, 0.6], []),
        ([0.5, 0.5, 0.5], ["v7", "v8"]),
        ([0.5], []),
        ([0.5, 0.501, 0.502, 0.503, 0.504, 0.505, 0.506, 0.507], ["v7", "v8", "v9", "v10", "v11", "and 2 more"]),
    ],
)
def test_single_trainings_within_the_margin_are_as_good_as_the_best(values: list[float], named: list[str]) -> None:
    study = a_study(values)
    said = results.as_good(study, rows(study))
    assert bool(said) == bool(named) and all(name in said for name in named)
    assert not said or "seed only; hydra.sweeper.repeats=3" in said


def test_the_highest_is_best_where_that_is_better_and_an_unknown_measure_has_no_margin() -> None:
    study = a_study([0.5, 0.49, 0.3], "image/fidelity", "maximize")
    assert "v7:" in results.as_good(study, rows(study))
    study = a_study([0.5, 0.5], "somebody's own")
    assert results.as_good(study, rows(study)) == ""


def test_means_are_told_apart_by_their_spread_and_never_from_single_trainings() -> None:
    study = a_study([0.5])
    ranked = [
        RankedTrial(0, "complete", "FuzzyBear v6", (0.500,), (0.006,), 3),
        RankedTrial(1, "complete", "FuzzyBear v7", (0.509,), (0.006,), 3),  # 2 x 0.006 x sqrt(2 / 3) = 0.0098
        RankedTrial(2, "complete", "FuzzyBear v8", (0.511,), (0.006,), 3),
        RankedTrial(3, "complete", "FuzzyBear v9", (0.500,), (), 1),
        RankedTrial(4, "pruned", "FuzzyBear v10"),
    ]
    assert best(ranked) is ranked[0]
    said = results.as_good(study, ranked)
    assert said.startswith("FuzzyBear v7: within twice the standard error of means of 3 trainings")


def test_a_trial_keeps_the_best_and_the_last_unless_others_are_asked_for() -> None:
    config = Config(name="FuzzyBear")
    assert trials.thrifty(config, ["network.rank=4"]).training.keep_epochs == 1
    assert trials.thrifty(config, ["training.keep_epochs=null"]).training.keep_epochs is None
    asked = replace(config, training=replace(config.training, keep_epochs=3))
    assert trials.thrifty(asked, []).training.keep_epochs == 3, "of a recipe or a sweep"
    assert config.training.keep_epochs is None


@pytest.fixture
def search(composed_configs: None, tmp_path: Path) -> DictConfig:
    """A search for rank and learning rate on the toy base, 30 trials."""
    line = ["hydra/sweeper=optuna", "sweeps=rank_lr", "hydra.sweeper.n_trials=30", f"output_root={tmp_path}"]
    return hydra.compose("config", line, return_hydra_config=True)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def largest(search: DictConfig) -> disk.Footprint:
    found = disk.of_trial(hooks._trial_config(search))
    assert found is not None
    return found


def test_what_a_search_will_take_is_that_of_its_largest_trials(search: DictConfig, tmp_path: Path) -> None:
    config, trial = hooks._trial_config(search), largest(search)
    choices = [int(text) for text in re.findall(r"\d+", search.hydra.sweeper.params["network.rank"])]
    assert config.network.rank == max(choices) and config.training.keep_epochs == 1 and trial.files == 2
    line = hooks.opening(search)[-1]
    assert line.startswith("disk: up to") and "30 trials of 2 weights files of" in line
    for number in range(28):  # those that have ended have taken theirs
        values: dict[str, Any] = {"name": "FuzzyBear", "version": number, "status": "complete" if number else "pruned"}
        trial_of = {"study": search.hydra.sweeper.study_name, "number": number}
        files.write_json(tmp_path / "fuzzybear" / f"v{number}" / "record.json", values | {"trial": trial_of})
    assert "2 trials of 2 weights files" in hooks.opening(search)[-1]


def test_what_every_trial_measures_follows_from_the_config(search: DictConfig) -> None:
    names = hooks.metrics(search)
    assert {"train/loss", "val/loss", "val/loss_ratio", "val/loss_bin_0", "image/fidelity", "steps"} <= set(names)
    search.features.models, search.evaluation.heldout_loss = [], False
    assert hooks.metrics(search) == ["train/loss", "steps"]


def test_a_search_that_cannot_fit_is_refused_and_a_smaller_one_is_not(
    search: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = largest(search)
    room = 20 * trial.files * trial.weights
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, room))
    with pytest.raises(UserError, match=r"fewer hydra\.sweeper\.n_trials"):
        hooks.opening(search)
    search.hydra.sweeper.n_trials = 10
    assert hooks.opening(search)[-1].startswith("disk:")


def test_a_forecast_keeps_no_search_from_starting(search: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: Config) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(disk, "of_trial", broken)
    assert hooks.opening(search)[-1] == "disk: could not be estimated (RuntimeError: no such thing)"


@pytest.mark.parametrize("state", [True, False])
def test_the_way_to_go_on_with_the_best_is_offered_where_its_state_is_there(
    state: bool, search: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorasweep.tracking.group.mark_best", lambda folder, others, print_line: None)
    folder = tmp_path / "fuzzybear" / "v6"
    values = {"name": "FuzzyBear", "version": 6, "recipe": "fuzzybear", "overrides": [], "epochs": []}
    training = {"training": {"epochs": 4, "max_steps": None}}
    files.write_json(folder / "record.json", values | {"config": training, "status": "complete"})
    if state:
        files.write_atomic(folder / "state" / "step-00000009.safetensors", b"s")
    top = RankedTrial(0, "complete", "FuzzyBear v6", (0.5,), (), 1, folder=str(folder), command="python train.py")
    printed = hooks.closing(
        search, a_study([0.5, 0.501]), [top, RankedTrial(1, "complete", "v7", (0.501,), (), 1)], top
    )
    assert any(line.startswith("continue  ") for line in printed) == state
    assert any(line.startswith("as good   v7: ") for line in printed)
    assert json.loads((folder / "record.json").read_text())["status"] == "complete"
