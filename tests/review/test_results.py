"""The files that a search leaves."""

from __future__ import annotations

import csv

import optuna
import yaml
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from lorasweep.review.results import write_results
from lorasweep.search.ranking import rows

SPACE = {
    "lr": FloatDistribution(1e-6, 1e-2, log=True),
    "kind": CategoricalDistribution(["${nothing}", "null", "a: b"]),
}


def test_one_objective_in_the_plugins_format(tmp_path):
    study = optuna.create_study()
    study.add_trial(create_trial(value=0.5, params={"lr": 1e-5, "kind": "${nothing}"}, distributions=SPACE))
    study.add_trial(create_trial(value=0.7, params={"lr": 1e-3, "kind": "null"}, distributions=SPACE))
    written = write_results(study, rows(study), tmp_path / "new")
    assert [path.name for path in written] == ["leaderboard.csv", "optimization_results.yaml"]
    found = {"name": "optuna", "best_params": {"lr": 1e-5, "kind": "${nothing}"}, "best_value": 0.5, "best_trial": 0}
    assert yaml.safe_load(written[1].read_text()) == found
    # Read as Hydra's users do; the text of the parameter is not taken for an interpolation when written.
    assert OmegaConf.load(written[1]).best_params.lr == 1e-5
    assert [line["number"] for line in csv.DictReader(written[0].open())] == ["0", "1"]


def test_finalists_count_with_their_mean(tmp_path):
    study, finals = optuna.create_study(), optuna.create_study()
    study.add_trial(create_trial(value=0.5))
    finals.add_trial(create_trial(value=0.7, user_attrs={"of": 0, "stage": "repeat"}))
    write_results(study, rows(study, finals), tmp_path)
    assert yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())["best_value"] == 0.6


def test_several_objectives_list_the_front(tmp_path):
    study = optuna.create_study(directions=["minimize", "maximize"])
    for values in ([0.5, 1.0], [0.4, 0.5], [0.6, 0.6]):
        study.add_trial(create_trial(values=values, params={"lr": values[0] / 100}, distributions={"lr": SPACE["lr"]}))
    write_results(study, rows(study), tmp_path)
    assert yaml.safe_load((tmp_path / "optimization_results.yaml").read_text()) == {
        "name": "optuna",
        "solutions": [
            {"params": {"lr": 0.004}, "values": [0.4, 0.5], "trial": 1},
            {"params": {"lr": 0.005}, "values": [0.5, 1.0], "trial": 0},
        ],
    }


def test_without_a_good_trial_there_is_only_the_leaderboard(tmp_path):
    study = optuna.create_study()
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "no"}))
    written = write_results(study, rows(study), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["leaderboard.csv"] == [path.name for path in written]
