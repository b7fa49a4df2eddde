"""The leaderboard as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console

from lorasweep.review.leaderboard import (
    about_best,
    as_csv,
    as_json,
    lines,
    show,
    show_pairs,
    summary,
)
from lorasweep.search.ranking import RankedTrial, rows

LONG = "at step 20 worse than the median of the five earlier trials that came as far as this"
FOLDER = "/a/very/long/folder/of/outputs/that/is/wider/than/the/terminal/outputs/fuzzybear/v9"


pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def study() -> optuna.Study:
    """Five trials, one of each state, with a parameter of each kind."""
    study = optuna.create_study(study_name="bear")
    distributions = {
        "optimizer.lr": FloatDistribution(1e-6, 1e-2, log=True),
        "network.rank": IntDistribution(1, 64),
        "scheduler": CategoricalDistribution(["constant", "cosine, slow"]),
    }
    for number, (state, value, attributes) in enumerate(
        [
            (TrialState.COMPLETE, 0.52, {"metrics": {"val/loss": math.nan}, "folder": FOLDER}),
            (TrialState.FAIL, None, {"reason": "the loss is NaN at step 7"}),
            (TrialState.PRUNED, 0.87, {"reason": LONG}),
            (TrialState.COMPLETE, 0.51, {"folder": FOLDER, "command": "python train.py network.rank=8"}),
            (TrialState.RUNNING, None, {}),
        ]
    ):
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={"optimizer.lr": 3.1e-4, "network.rank": 8 + number, "scheduler": "cosine, slow"},
                distributions=distributions,
                user_attrs={"version": f"Bear v{number + 6}", "seconds": 21.0} | attributes,
                intermediate_values={20: 0.87} if state == TrialState.PRUNED else None,
            )
        )
    return study


@pytest.fixture
def finals() -> optuna.Study:
    finals = optuna.create_study(study_name="bear:finals")
    for value in (0.53, 0.55):
        finals.add_trial(create_trial(value=value, user_attrs={"of": 3, "stage": "repeat"}))
    return finals


def plain(found) -> list[str]:
    return [line.plain for line in found]


def test_a_wide_terminal_gets_a_table(study, finals):
    text = plain(lines(study, rows(study, finals), 250))
    assert text[0].split() == ["trial", "version", "state", "value", "n", "lr", "rank", "scheduler", "time"]
    assert " ".join(text[1].split()) == "1 3 Bear v9 complete 0.5300 ± 0.02 3 3.1e-4 11 cosine, slow 21 s"
    assert text[2].split()[:6] == ["2", "0", "Bear", "v6", "complete", "0.5200"]
    assert text[4].split()[4:8] == ["(0.8700", "at", "20)", "3.1e-4"] and text[4].endswith(LONG)
    assert len(text) == 6 and text[5].endswith("the loss is NaN at step 7")
    # A column per heading: the words of a column end (numbers) or begin (words) at the same place.
    states = ["state", "complete", "complete", "running", "pruned", "failed"]
    assert len({line.index(state) for line, state in zip(text, states, strict=True)}) == 1


def test_a_narrower_one_gets_the_reasons_below(study):
    text = plain(lines(study, rows(study), 100))
    assert text[0].lstrip().startswith("trial") and len(text) == 8
    assert text.count("      " + LONG) == 1
    assert all(len(line) <= 100 for line in text if LONG not in line)


def test_a_narrow_one_gets_lines_per_trial_and_no_wrapping(study):
    text = plain(lines(study, rows(study), 60))
    assert text[0] == " 1  trial 3  Bear v9  complete  0.5100  21 s"
    assert text[1] == "      lr 3.1e-4, rank 11, scheduler cosine, slow"
    assert "      " + LONG in text
    assert all(len(line) <= 60 for line in text if LONG not in line)


@pytest.mark.parametrize("width", [40, 80, 250])
def test_what_is_shown_is_never_wrapped_and_taken_as_it_is(study, width):
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "[bold]out of memory[/bold] " * 9}))
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    show(study, rows(study), console)
    show_pairs("next", {"folder": FOLDER}, console)
    text = console.file.getvalue().splitlines()
    assert sum(line.rstrip().endswith(("[bold]out of memory[/bold] " * 9).rstrip()) for line in text) == 1
    assert text[-1] == f"  folder  {FOLDER}"


def test_the_top_says_what_it_leaves_out(study):
    console = Console(file=io.StringIO(), width=200)
    show(study, rows(study), console, top=2)
    text = console.file.getvalue().splitlines()
    assert len(text) == 4 and text[-1] == "… and 3 more"


def test_without_versions_and_trials_there_is_still_a_table():
    study = optuna.create_study()
    assert plain(lines(study, [], 80)) == ["    trial  state  value  time"]
    study.add_trial(create_trial(value=1.0))
    assert "version" not in lines(study, rows(study), 80)[0].plain


def test_json_has_the_promised_keys_and_no_nan(study, finals):
    found = json.loads(json.dumps(as_json(study, rows(study, finals)), allow_nan=False))
    assert list(found) == ["study", "directions", "trials"]
    assert found["study"] == "bear" and found["directions"] == ["minimize"]
    assert all(
        list(trial) == ["number", "version", "state", "values", "params", "seconds", "reason"]
        for trial in found["trials"]
    )
    first = found["trials"][0]
    assert first["values"] == pytest.approx([0.53])
    first["values"] = None
    assert first == {
        "number": 3,
        "version": "Bear v9",
        "state": "complete",
        "values": None,
        "params": {"optimizer.lr": 3.1e-4, "network.rank": 11, "scheduler": "cosine, slow"},
        "seconds": 21.0,
        "reason": None,
    }
    assert [(t["state"], t["values"], t["reason"]) for t in found["trials"][2:]] == [
        ("running", [], None),
        ("pruned", [], LONG),
        ("failed", [], "the loss is NaN at step 7"),
    ]


def test_json_of_what_json_cannot_say():
    study = optuna.create_study(directions=["maximize", "minimize"])
    row = RankedTrial(
        0, "complete", values=(math.inf, 1.0), params={"a": math.nan, "b": (1, 2), "c": object}, seconds=math.nan
    )
    found = as_json(study, [row])
    assert found["directions"] == ["maximize", "minimize"]
    trial = json.loads(json.dumps(found, allow_nan=False))["trials"][0]
    assert trial["values"] == [None, 1.0] and trial["seconds"] is None
    assert trial["params"]["a"] is None and trial["params"]["b"] == [1, 2]


def test_csv_is_read_back(study, finals):
    table = list(csv.DictReader(io.StringIO(as_csv(study, rows(study, finals)))))
    assert [line["number"] for line in table] == ["3", "0", "4", "2", "1"]
    first = table[0]
    assert float(first["value"]) == pytest.approx(0.53) and float(first["spread"]) == pytest.approx(0.02)
    assert (first["n"], first["params_scheduler"], first["params_network.rank"]) == ("3", "cosine, slow", "11")
    assert (first["folder"], first["seconds"], first["version"]) == (FOLDER, "21.0", "Bear v9")
    assert (table[3]["value"], table[3]["n"], table[3]["reason"]) == ("", "", LONG)


def test_csv_of_several_objectives():
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_metric_names(["loss", "clip"])
    study.add_trial(create_trial(values=[0.5, 0.25]))
    (line,) = csv.DictReader(io.StringIO(as_csv(study, rows(study))))
    assert (line["loss"], line["clip"], line["loss_spread"], line["pareto"]) == ("0.5", "0.25", "", "True")


def test_next_steps(study):
    assert about_best(rows(study)) == {"best": f"Bear v9 in {FOLDER}", "again": "python train.py network.rank=8"}
    bare = RankedTrial(4, "complete", values=(1.0,), params={"x": 1e-5, "kind": "a b"}, refit="outputs/bear/v12")
    assert about_best([bare]) == {
        "best": "trial 4",
        "refit": "on all images in outputs/bear/v12",
        "parameters": "x=1e-05 'kind=a b'",
    }
    one = RankedTrial(1, "complete", values=(1.0, 2.0), pareto=True, folder="a")
    front = [one, RankedTrial(2, "complete", values=(3.0, 3.0))]
    assert about_best(front) == {"trial 1": "a"}
    assert about_best([]) == {}


def test_summary(study):
    assert summary(rows(study)) == "5 trials (2 complete, 1 running, 1 pruned, 1 failed), best 0.5100 (Bear v9)"
    assert summary([]) == "0 trials"
    assert (
        summary([RankedTrial(1, "complete", values=(1.0, 2.0), pareto=True)])
        == "1 trials (1 complete), 1 on the Pareto front"
    )
