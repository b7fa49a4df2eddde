"""A study that goes on with another space: wider choices, another kind, another scale; or is refused and left whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from lorasweep.errors import UserError
from lorasweep.search.settings import SPARE
from lorasweep.search.space import Space, parse_space
from lorasweep.search.storage import open_storage
from lorasweep.search.widening import change_space


@pytest.fixture
def storage(tmp_path: Path) -> BaseStorage:
    return open_storage(f"{tmp_path}/journal.log")


def space(*line: str) -> Space:
    return parse_space({}, line)


def begun(storage: BaseStorage, *line: str, values: Any = (1, 2)) -> optuna.Study:
    """Return a study of a space with a complete trial per value of x, one that waits, and notes of its own."""
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    study.set_user_attr("fixed", ["n=3"])
    found = space(*line)
    for value in values:
        study.enqueue_trial({"x": value})
        trial = study.ask(found.distributions)
        trial.report(0.5, 1)
        trial.set_user_attr("version", f"Bear v{trial.number}")
        study.tell(trial, float(trial.number))
    study.enqueue_trial({"x": values[0]})
    return study


def changed(storage: BaseStorage, *line: str) -> optuna.Study:
    found = space(*line)
    change_space(storage, "s", found.distributions, 60.0)
    study = optuna.load_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    study.ask(found.distributions)  # takes the trial that waited
    study.ask(found.distributions)  # draws one of the new space
    return study


@pytest.mark.parametrize(
    ("before", "after", "values"),
    [
        ("x=1,2,3", "x=1,2,3,4", [1, 2]),
        ("x=1,2,3", "x=3,2,1", [1, 2]),
        ("x=1,2,3", "x=1,2", [1, 2]),
        ("x=1,2", "x=range(1,9)", [1, 2]),
        ("x=1,2", "x=interval(0.0,5.0)", [1.0, 2.0]),
        ("x=range(1,9)", "x=1,2,5", [1, 2]),
        ("x=range(1,9)", "x=interval(1.0,9.0)", [1.0, 2.0]),
        ("x=int(interval(1,9))", "x=tag(log,int(interval(1,9)))", [1, 2]),
        ("x=interval(1.0,9.0)", "x=tag(log,interval(0.5,9.0))", [1.0, 2.0]),
        ("x=interval(1.0,9.0)", "x=interval(0.0,20.0)", [1.0, 2.0]),
    ],
)
def test_trials_whose_values_fit_stay_as_they_are(
    storage: BaseStorage, before: str, after: str, values: list[Any]
) -> None:
    begun(storage, before)
    study = changed(storage, after)
    first, second, waited, drawn = study.trials
    assert [first.params["x"], second.params["x"]] == values
    assert [type(t.params["x"]) for t in (first, second)] == [type(value) for value in values]
    assert [t.value for t in (first, second)] == [0.0, 1.0] and study.direction.name == "MAXIMIZE"
    assert first.intermediate_values == {1: 0.5} and second.user_attrs["version"] == "Bear v1"
    assert waited.params["x"] == values[0] and study.user_attrs == {"fixed": ["n=3"]}
    assert drawn.distributions == space(after).distributions
    assert all(t.distributions == drawn.distributions for t in (first, second))  # so that samplers learn from them
    assert optuna.get_all_study_names(storage) == ["s"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("x=1,2,3", "x=2,3", "x=choice(2,3): trial 0 had 1, which is not in it: add it, or begin another study"),
        ("x=1,2", "x=interval(1.5,9.0)", "trial 0 had 1, which"),
        ("x=interval(1.0,9.0)", "x=1,3", "trial 1 had 2.0, which"),
        ("x=1,2", "x=a,b", "trial 1 had 2, which"),
    ],
)
def test_values_that_do_not_fit_are_told_and_nothing_is_changed(
    storage: BaseStorage, before: str, after: str, told: str
) -> None:
    begun(storage, before)
    with pytest.raises(UserError) as wrong:
        changed(storage, after)
    assert any(told in problem for problem in wrong.value.problems)
    study = optuna.load_study(study_name="s", storage=storage)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.WAITING]
    assert study.trials[0].distributions == space(before).distributions
    assert changed(storage, before).trials[-1].state is TrialState.RUNNING  # the right command goes on


def test_narrower_ends_are_optunas_own_affair(storage: BaseStorage) -> None:
    study = begun(storage, "x=interval(1.0,9.0)")
    change_space(storage, "s", space("x=interval(1.5,9.0)").distributions, 60.0)
    assert study.trials[0].distributions == space("x=interval(1.0,9.0)").distributions


def test_a_space_does_not_change_under_a_running_trial(storage: BaseStorage) -> None:
    study = begun(storage, "x=1,2")
    study.ask(space("x=1,2").distributions)
    with pytest.raises(UserError, match="trial 2 is being run"):
        change_space(storage, "s", space("x=1,2,3").distributions, 60.0)


def test_shares_of_another_key_as_they_were_stored_before(storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="s")
    old = {"x": optuna.distributions.CategoricalDistribution([0, "${of_lr:0.1}", "${of_lr:0.5}"])}
    study.add_trial(create_trial(value=1.0, params={"x": "${of_lr:0.5}"}, distributions=old))
    now = parse_space({"x": "choice(0, '${of_lr:0.1}', '${of_lr:0.5}')"}, [])
    change_space(storage, "s", now.distributions, 60.0)
    assert optuna.load_study(study_name="s", storage=storage).trials[0].params == {"x": "0.5 x lr"}


class Cut(Exception):
    """The process died here."""


@contextmanager
def dying_at(storage: BaseStorage, call: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let the `call`-th writing call to the storage, counted from 1, raise."""
    count = [0]

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def maybe(*arguments: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == call:
                raise Cut
            return write(*arguments, **named)

        return maybe

    with monkeypatch.context() as patched:
        for name in ("create_new_study", "delete_study", "set_study_user_attr", "create_new_trial"):
            patched.setattr(storage, name, dying(getattr(storage, name)))
        yield count


def test_cut_off_anywhere_it_is_finished_or_undone_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = space("x=1,2,3").distributions
    for call in range(1, 100):
        storage = open_storage(f"{tmp_path}/{call}.log")
        begun(storage, "x=1,2")
        with dying_at(storage, call, monkeypatch) as count, suppress(Cut):
            change_space(storage, "s", wider, 60.0)
        change_space(storage, "s", wider, 60.0)
        assert optuna.get_all_study_names(storage) == ["s"]
        study = optuna.load_study(study_name="s", storage=storage)
        assert [t.params for t in study.trials] == [{"x": 1}, {"x": 2}, {}], call
        assert study.trials[0].distributions == wider and study.user_attrs == {"fixed": ["n=3"]}
        if count[0] < call:
            assert call > 10  # the test has cut at every place
            return
    raise AssertionError("it never ended")


def test_a_search_goes_on_with_wider_choices(search: Any, capsys: Any) -> None:
    grid = ("hydra/sweeper/sampler=grid",)
    search("x=1,2,3", *grid)
    search("x=1,2,3,4", *grid)
    assert sorted(x for x, _ in search.ran) == [1, 2, 3, 4]  # nothing twice
    assert [t.state for t in search.study().trials] == [TrialState.COMPLETE] * 4
    with pytest.raises(SystemExit) as left:
        search("x=1,2,4", *grid)
    assert left.value.code == 2 and "trial" in (told := capsys.readouterr().err) and "had 3" in told
    assert search.study().user_attrs["space"] == {"x": "choice(1,2,3,4)"}  # still that of its trials
    search("x=1,2,3,4", *grid)
    search("x=1,2,4", *grid, "hydra.sweeper.study_name=other")  # the advice, followed
    assert len(search.ran) == 7 and len(search.study("other").trials) == 3


def test_finals_follow_the_space(search: Any) -> None:
    line = ("hydra.sweeper.seed_key=seed", "hydra.sweeper.repeats=2", "hydra.sweeper.finalists=1",
            "hydra/sweeper/sampler=grid")  # fmt: skip
    search("x=2,3", *line)
    search("x=1,2,3", *line)
    assert [t.params["x"] for t in search.study("app:finals").trials] == [2, 1]


def test_another_set_of_parameters_is_refused_in_words(search: Any, capsys: Any) -> None:
    search("x=1,2", "hydra.sweeper.n_trials=1")
    with pytest.raises(SystemExit):
        search("x=1,2", "n=3,4", "hydra.sweeper.n_trials=2")
    assert "it searches x; you search x, n" in capsys.readouterr().err
    assert len(search.study().trials) == 1
    assert SPARE not in "".join(optuna.get_all_study_names(search.study()._storage))
