"""Where studies go: none writes over another's files, and the same command finds its own again."""

from __future__ import annotations

import base64
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from omegaconf import OmegaConf
from optuna.trial import TrialState

from lorasweep.search import location
from lorasweep.search.location import password_in_environment, with_password
from lorasweep.search.storage import open_storage

X = "x=interval(0.0,1.0)"
TIMED = "hydra.sweep.dir='m/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}'"


def jobs(folder: Path) -> dict[str, list[str]]:
    """Return the overrides of every job below a folder, by the job's own folder."""
    return {
        str(path.parents[1].relative_to(folder)): yaml.safe_load(path.read_text())
        for path in folder.rglob(".hydra/overrides.yaml")
    }


def test_repeats_leave_the_trials_folders_alone(search: Any) -> None:
    search(
        X,
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.seed_key=n",
        "hydra.sweeper.repeats=3",
        "hydra.sweeper.finalists=1",
    )
    found = jobs(search.folder)
    assert sorted(found) == ["0", "1", "2", "finals/0", "finals/1"]
    assert all(not any(text.startswith("n=") for text in found[str(number)]) for number in range(3))
    assert [found[f"finals/{number}"][-1] for number in range(2)] == ["n=4", "n=5"]


def test_folds_leave_the_trials_folders_alone(search: Any) -> None:
    search(
        X, "hydra.sweeper.n_trials=3", "hydra.sweeper.folds=2", "hydra.sweeper.fold_overrides=['n={fold}']",
        "hydra.sweeper.refit_overrides=['n=0']", "hydra.sweep.subdir='${hydra.job.num}-${n}'",
    )  # fmt: skip
    assert sorted(jobs(search.folder)) == ["0-1", "1-1", "2-1", "finals/0-2", "finals/1-0"]


def test_another_study_in_the_same_folder_gets_one_of_its_own(search: Any, capsys: Any) -> None:
    search(X, "hydra.sweeper.n_trials=2", "hydra.sweeper.plots=true")
    before = {path: path.read_bytes() for path in search.folder.rglob("*") if path.is_file() and path.suffix != ".log"}
    assert {path.name for path in before} >= {"multirun.yaml", "leaderboard.csv", "optimization_results.yaml"}
    with pytest.raises(SystemExit) as left:
        search(X, "hydra.sweeper.n_trials=2", "n=5")
    told = capsys.readouterr().err
    assert left.value.code == 2 and "with hydra.sweeper.study_name=..." in told
    again = (X, "hydra.sweeper.n_trials=2", "n=5", "hydra.sweeper.study_name=the second", "hydra.sweeper.plots=true")
    search(*again)  # the advice, followed
    assert {path: path.read_bytes() for path in before} == before
    second = search.folder / "the_second"
    assert sorted(jobs(search.folder)) == ["0", "1", "the_second/0", "the_second/1"]
    assert {path.name for path in second.iterdir()} >= {"multirun.yaml", "leaderboard.csv", "plots"}
    assert [n for _, n in search.ran] == [3, 3, 5, 5]
    search(*again[:1], "hydra.sweeper.n_trials=3", *again[2:])  # goes on where it is
    assert sorted(jobs(second)) == ["0", "1", "2"]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["0", "plots", "finals", "..", "a/b"])
def test_a_studys_name_takes_no_folder_that_is_there_already(search: Any, name: str) -> None:
    search(
        X,
        "hydra.sweeper.n_trials=1",
        "hydra.sweeper.plots=true",
        "hydra.sweeper.seed_key=seed",
        "hydra.sweeper.repeats=2",
    )
    first = (search.folder / "0" / ".hydra" / "overrides.yaml").read_text()
    search(X, "hydra.sweeper.n_trials=1", "n=5", f"hydra.sweeper.study_name='{name}'")
    assert (search.folder / "0" / ".hydra" / "overrides.yaml").read_text() == first
    assert len(jobs(search.folder)) == 3
    assert len(list(search.folder.parent.glob("*"))) == 2  # nothing beside it: conf and swept


def test_the_same_name_in_another_storage_is_another_study(search: Any) -> None:
    search(X, "hydra.sweeper.n_trials=1")
    search(X, "hydra.sweeper.n_trials=1", "hydra.sweeper.storage=sqlite:///study.db")
    assert sorted(jobs(search.folder)) == ["0", "app/0"]
    search(X, "hydra.sweeper.n_trials=2", "hydra.sweeper.storage=sqlite:///study.db")
    assert sorted(jobs(search.folder)) == ["0", "app/0", "app/1"]


def test_a_folder_that_was_moved_is_still_the_studys(search: Any, tmp_path: Path) -> None:
    search(X, "hydra.sweeper.n_trials=1")
    shutil.move(search.folder, tmp_path / "moved")
    search(X, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=moved")
    assert sorted(jobs(tmp_path / "moved")) == ["0", "1"] and len(search.ran) == 2


def test_what_was_kept_before_folders_were_marked_goes_on_and_is_safe(search: Any) -> None:
    search(X, "hydra.sweeper.n_trials=1")
    (search.folder / location.MARK).unlink()
    search(X, "hydra.sweeper.n_trials=2")
    assert sorted(jobs(search.folder)) == ["0", "1"]
    (search.folder / location.MARK).unlink()
    search(X, "hydra.sweeper.n_trials=1", "n=5", "hydra.sweeper.study_name=other")
    assert sorted(jobs(search.folder)) == ["0", "1", "other/0"]
    shutil.rmtree(search.folder)
    search.folder.mkdir()
    (search.folder / "0").mkdir()
    grid = {"hydra": {"sweeper": {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}}}
    OmegaConf.save(grid, search.folder / "multirun.yaml")  # a plain grid's
    search(X, "hydra.sweeper.n_trials=1")
    assert sorted(jobs(search.folder)) == ["app/0"]


def test_the_same_command_goes_on_in_a_folder_that_follows_the_clock(search: Any, tmp_path: Path, capsys: Any) -> None:
    calls = [0]

    def killed_at_the_third(job: Any) -> float:
        calls[0] += 1
        if calls[0] == 3:
            signal.raise_signal(signal.SIGTERM)
        return float(job.x)

    search.task = killed_at_the_third
    with pytest.raises(SystemExit) as left:
        search(X, TIMED, "hydra.sweeper.n_trials=4")
    assert left.value.code == 143
    assert "interrupted after 2 of 4 trials; the same command goes on" in capsys.readouterr().out
    search(X, TIMED, "hydra.sweeper.n_trials=4")
    (folder,) = (tmp_path / "m").glob("*/*")
    assert sorted(jobs(folder)) == ["0", "1", "2", "3", "4"]  # 2 was left, 3 goes on with it
    study = optuna.load_study(study_name="app", storage=open_storage(f"{folder}/journal.log"))
    assert sum(trial.state is TrialState.COMPLETE for trial in study.trials) == 4
    assert (folder / "optimization_results.yaml").exists()

    search(X, TIMED, "hydra.sweeper.n_trials=5")  # n_trials is a total
    assert sorted(jobs(folder)) == ["0", "1", "2", "3", "4", "5"] and len(list((tmp_path / "m").glob("*/*"))) == 1
    search(X, TIMED, "hydra.sweeper.n_trials=5")  # all of it was done: as ever in Hydra, a sweep of its own
    assert len(list((tmp_path / "m").glob("*/*"))) == 2
    search("x=interval(0.0,2.0)", TIMED, "hydra.sweeper.n_trials=1")  # and so is another command
    search(X, "n=5", TIMED, "hydra.sweeper.n_trials=1")
    assert len(list((tmp_path / "m").glob("*/*"))) == 4


def test_repeats_that_were_cut_off_go_on_too(search: Any, tmp_path: Path) -> None:
    def cut_off(job: Any) -> float:
        if job.seed == 9 and len(search.ran) < 5:
            signal.raise_signal(signal.SIGTERM)
        return float(job.x)

    search.task = cut_off
    line = (X, TIMED, "hydra.sweeper.n_trials=2", "hydra.sweeper.seed_key=seed", "hydra.sweeper.repeats=3",
            "hydra.sweeper.finalists=1")  # fmt: skip
    with pytest.raises(SystemExit):
        search(*line)
    search(*line)
    assert len(list((tmp_path / "m").glob("*/*"))) == 1 and len(search.ran) == 5


def test_a_folder_that_cannot_be_written_is_told(search: Any, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as left:
        search(X, "hydra.sweep.dir=file/there")
    told = capsys.readouterr().err
    assert left.value.code == 2 and "cannot be written" in told and "hydra.sweep.dir=..." in told
    search(X, "hydra.sweeper.n_trials=1", "hydra.sweep.dir=elsewhere")


SECRET = "s3cret"


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a storage with a password; what opens it is a journal."""
    from lorasweep.search import job, storage, sweeper

    opened: list[str] = []

    def open_it(url: str, create: bool = True) -> Any:
        opened.append(url)
        assert SECRET in url
        return storage.open_storage(f"{tmp_path}/journal.log")

    for module in (job, sweeper):
        monkeypatch.setattr(module, "open_storage", open_it)
    return f"postgresql://me:{SECRET}@host/studies"


def test_a_password_is_in_no_file(search: Any, database: str, tmp_path: Path, capfd: Any) -> None:
    import lorasweep.search

    def task(job: Any) -> None:
        with lorasweep.search.trial() as trial:
            assert trial is not None
            trial.finish(job.x)

    search.task = task
    search(X, f"hydra.sweeper.storage='{database}'", "hydra.sweeper.n_trials=2")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "hydra.yaml" for path in files) and any(path.name == "multirun.yaml" for path in files)
    for path in files:
        text = path.read_bytes().decode(errors="replace")
        assert SECRET not in text, path
        for part in re.findall(r"[\w=-]{40,}", text):  # identities are in base64
            assert SECRET.encode() not in base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), path
    out, err = capfd.readouterr()
    assert SECRET not in out + err and "me:***@host" in out
    with lorasweep.search.trial() as trial:
        assert trial is None  # and nothing is left in the environment
    assert location.PASSWORD not in location.os.environ


def test_a_job_finds_the_password_in_its_environment_or_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:secret@host/studies"
    where = location.StudyLocation("bear", url, Path())
    assert where.redacted_url == "postgresql://me:***@host/studies"
    with password_in_environment(where):
        assert with_password(where.redacted_url) == url
    with pytest.raises(location.UserError, match=r"~/\.pgpass or PGPASSWORD"):
        with_password(where.redacted_url)
    bare = "postgresql://me@host/studies"
    assert with_password(bare) == bare  # the advice, followed
