"""Asking for a trial reads a database once; what others write is seen at the next asking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage

from lorasweep.search.optuna_internals import read_once
from lorasweep.search.storage import journal_url, open_storage

X = {"x": FloatDistribution(0, 1)}


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count how often the table of trials is read."""
    reads: list[int] = []
    read = RDBStorage._get_trials

    def counting(self: RDBStorage, *args: object, **named: object) -> object:
        reads.append(1)
        return read(self, *args, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(RDBStorage, "_get_trials", counting)
        yield reads


def test_one_asking_reads_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/s.db"))
    for _ in range(12):  # past the sampler's random start
        study.tell(study.ask(X), 1.0)
    with counted(monkeypatch) as reads:
        study.ask(X)
        assert len(reads) > 1, "Optuna reads once by itself now: database.py can go"
    with counted(monkeypatch) as reads, read_once(study._storage):
        study.get_trials()
        study.ask(X)
        assert len(reads) == 1


def test_the_next_asking_sees_what_others_wrote(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    mine = optuna.create_study(storage=open_storage(url), study_name="s")
    other = optuna.load_study(storage=open_storage(url), study_name="s")
    with read_once(mine._storage):
        assert not mine.trials
        other.tell(other.ask(X), 2.0)
        assert not mine.trials
    with read_once(mine._storage):
        assert [trial.value for trial in mine.trials] == [2.0]
    other.tell(other.ask(X), 3.0)
    assert [trial.value for trial in mine.trials] == [2.0, 3.0]


def test_a_journal_is_read_as_ever(tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(journal_url(tmp_path / "j.log")))
    with read_once(study._storage):
        study.tell(study.ask(X), 1.0)
        assert len(study.trials) == 1
