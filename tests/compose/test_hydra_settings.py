"""Hydra's own settings: what there is not is answered in our words, each with a cure that cures."""

from __future__ import annotations

import pytest

from lorasweep.compose import searches
from lorasweep.compose.composition import load_config
from lorasweep.errors import UserError


def test_a_single_run_with_a_search_space_is_told_that_nothing_is_searched() -> None:
    (told,) = searches.unsearched(["lora=food", "sweeps=rank_lr"])
    assert told.startswith("sweeps=rank_lr without -m: one version")
    assert searches.unsearched(["lora=food", "sweeps=null"]) == []


SETTINGS = [
    (["hydra.verbos=true"], "did you mean hydra.verbose=true?", "hydra.verbose=true"),
    (["hydra.run.dirr=x"], "did you mean hydra.run.dir=x?", "hydra.run.dir=x"),
    (["hydra.sweeper.n_trial=3", "hydra/sweeper=optuna"], "hydra.sweeper.n_trials=3?", "hydra.sweeper.n_trials=3"),
    (
        ["hydra.sweeper.sampler.sed=3", "sweeps=rank_lr"],
        "did you mean hydra.sweeper.sampler.seed=3?",
        "hydra.sweeper.sampler.seed=3",
    ),
    (["hydra.sweeper=optuna"], "chosen with a slash: hydra/sweeper=optuna", "hydra/sweeper=optuna"),
    (
        ["hydra.sweeper.sampler=grid", "sweeps=rank_lr"],
        "slash: hydra/sweeper/sampler=grid",
        "hydra/sweeper/sampler=grid",
    ),
]


@pytest.mark.parametrize(("line", "said", "instead"), SETTINGS, ids=[case[0][0] for case in SETTINGS])
@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_a_setting_that_hydra_has_not(line: list[str], said: str, instead: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(line)
    [problem] = caught.value.problems
    assert said in problem and "append" not in problem and "struct" not in problem
    load_config([*line[1:], instead])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hydra=3", "settings of Hydra are set one by one; python train.py --cfg hydra lists them"),
        ("hydra.xyzzyxyzzy=3", "Hydra has no setting hydra.xyzzyxyzzy; python train.py --cfg hydra lists them"),
        ("hydra/foo=3", "expected a group of Hydra's: one of hydra/env, "),
        ("hydra.job.chdir=maybe", "Value 'maybe' is not a valid bool"),
    ],
)
@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_a_value_or_group_that_hydra_has_not(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config([text, "network.rank=0"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [text, "network.rank=0"]
    assert said in caught.value.problems[0]


@pytest.mark.usefixtures("composed_configs")
def test_a_search_that_is_chosen_with_a_dot_is_left_to_be_refused_with_the_rest() -> None:
    line = ["hydra.sweeper=optuna", "network.rank=4,8"]
    assert searches.judge_search(line, "config", several=True).line == line
