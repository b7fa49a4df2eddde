"""What a command line asks of the sweeper and the launcher: judged with all the rest, at once."""

from __future__ import annotations

import pytest

from lorasweep.compose.searches import judge_search

pytestmark = pytest.mark.usefixtures("composed_configs")

SEARCH = "hydra/sweeper=optuna"


def told(*line: str, several: bool = True) -> list[str]:
    return [str(problem) for problem in judge_search(line, "config", several=several).problems]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ((SEARCH, "hydra.sweeper.n_trial=3"), "hydra/sweeper=optuna has no option n_trial; did you mean n_trials?"),
        (("hydra.sweeper.n_trials=3",), "hydra/sweeper=basic has no option n_trials; it is one of a search's: add "
                                        "hydra/sweeper=optuna"),
        (("hydra/launcher=lanes", "hydra.launcher.njobs=3"), "has no option njobs; did you mean n_jobs?"),
        (("hydra.launcher.n_jobs=3",), "hydra/launcher=basic has no option n_jobs; add hydra/launcher=lanes"),
        ((SEARCH, "hydra.sweeper.timeout=1h"), "hydra.sweeper.timeout=1h: expected a number or null"),
        ((SEARCH, "hydra.sweeper.n_jobs=2"), "add hydra/launcher=lanes for 2 at a time"),
        ((SEARCH, "hydra.sweeper.terminator=true"), "changes nothing with n_trials=12"),  # those of sweeps=default
        (("sweeps=rank_lr", "hydra.sweeper.finalists=2"), "changes nothing without hydra.sweeper.repeats>1"),
        (("hydra/launcher=lanes", "hydra.launcher.grace_s=-1"), "hydra.launcher.grace_s=-1: expected at least 0"),
        ((SEARCH, "hydra.sweeper.direction=maximize"), "direction=[maximize]: val/loss_ratio is to minimize, which"),
        ((SEARCH, "further_objectives=[image/fidelity]", "hydra.sweeper.direction=minimize"),
         "val/loss_ratio is to minimize, image/fidelity is to maximize, which the search does by itself"),
        ((SEARCH, "hydra.sweeper.sampler=grid"), "it is chosen with a slash: hydra/sweeper/sampler=grid"),
        ((SEARCH, "hydra.sweeper.params=4"), "hydra.sweeper.params=4: expected keys with values"),
        ((SEARCH, "hydra.sweeper.tie_breakers=a,b"), "write it as one list: hydra.sweeper.tie_breakers=[a,b]"),
        ((SEARCH, "hydra.sweeper.n_trials=3,4"), "hydra.sweeper.n_trials=3,4: give one value"),
        ((SEARCH, "hydra/sweeper/sampler=tpe,random"), "hydra/sweeper/sampler=tpe,random: give one value"),
        ((SEARCH, "hydra.sweeper.params.network.rank=4,8"),
         "quote the sweep: '++hydra.sweeper.params.network.rank=\"4,8\"'"),
        ((SEARCH, "hydra.sweeper.params.network.rank='4,8'"), "to be added: '++hydra.sweeper.params.network.rank="),
        ((SEARCH, "hydra.sweeper.sampler.sed=3"), "there is no such key; did you mean seed?; TPESampler takes "),
        ((SEARCH, "hydra.sweeper.sampler.group=true"), "to be added: ++hydra.sweeper.sampler.group=true"),
        ((SEARCH, "hydra/sweeper/pruner=none", "hydra.sweeper.pruner.n_warmup_steps=3"), "NopPruner takes nothing"),
    ],
)  # fmt: skip
def test_each_is_named_with_its_cure(line: tuple[str, ...], problem: str) -> None:
    (found,) = told(*line)
    assert problem in found


@pytest.mark.parametrize(
    "line",
    [
        (SEARCH, "hydra.sweeper.n_trials=3"),
        (SEARCH, "hydra/launcher=lanes", "hydra.launcher.n_jobs=3"),
        (SEARCH, "hydra/launcher=lanes", "hydra.sweeper.n_jobs=2"),
        (SEARCH, "hydra.sweeper.terminator=true", "hydra.sweeper.n_trials=30"),
        ("sweeps=rank_lr", "hydra.sweeper.finalists=2", "hydra.sweeper.repeats=2"),
        (SEARCH, "+hydra.sweeper.search_space={network.rank:{type:int,low:4,high:8}}"),
        ("network.rank=4,8", "hydra.sweeper.max_batch_size=2"),
        (SEARCH, "hydra.sweeper.direction=minimize"),
        (SEARCH, "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=1e1"),
        (SEARCH, "objective=image/adherence", "hydra.sweeper.direction=[maximize]"),
        (SEARCH, '++hydra.sweeper.params.network.rank="4,8"'),
        (SEARCH, "++hydra.sweeper.sampler.group=true", "hydra.sweeper.sampler.seed=3"),
        (SEARCH, "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_warmup_steps=3"),
    ],
)
def test_the_cures_and_what_is_right_pass(line: tuple[str, ...]) -> None:
    assert told(*line) == []


def test_what_hydra_would_refuse_is_taken_out_so_that_the_rest_can_be_judged() -> None:
    asked = judge_search([SEARCH, "hydra.sweeper.n_trial=3", "network.rank=8"], "config", several=True)
    assert asked.line == [SEARCH, "network.rank=8"] and len(asked.problems) == 1


def test_a_search_without_m_is_no_training_of_one_version() -> None:
    found = told(SEARCH, "hydra.sweeper.n_trials=3", "network.rank=8", several=False)
    assert [text.partition(":")[0] for text in found] == [SEARCH, "hydra.sweeper.n_trials=3"]
    assert all("add -m" in text for text in found)
    assert told("network.rank=8", "hydra.job.chdir=false", several=False) == []


def test_what_is_tried_beyond_the_command_line() -> None:
    assert judge_search([SEARCH], "config", several=True).tried[0] == "sweeps=default"
    found = judge_search(["sweeps=rank_lr", "network.rank=8"], "config", several=True).tried
    assert [text.partition("=")[0] for text in found] == ["optimizer.lr"]
    assert judge_search([SEARCH, "network.rank=4,8"], "config", several=True).tried == []
    nested = judge_search([SEARCH, '++hydra.sweeper.params.network.rank="4,8"'], "config", several=True)
    assert nested.tried == ["network.rank=4,8"]
