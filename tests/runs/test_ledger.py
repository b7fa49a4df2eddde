"""Version numbers are never given twice; records are always whole."""

import os
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lorasweep.errors import UserError
from lorasweep.runs import ledger, lock
from lorasweep.runs.record import Record, Status


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A documented history of five versions of FuzzyBear."""
    folder = tmp_path / "conf" / "fuzzybear"
    folder.mkdir(parents=True)
    for number in range(1, 6):
        (folder / f"v{number}.yaml").touch()
    return tmp_path / "conf"


def test_numbers_continue_the_documented_history(tmp_path: Path, recipes: Path) -> None:
    assert ledger.open_version(tmp_path / "out", "FuzzyBear", [recipes])[0] == 6
    assert ledger.open_version(tmp_path / "out", "FuzzyBear", [recipes])[0] == 7
    assert ledger.open_version(tmp_path / "out", "Other", [recipes])[0] == 1


def test_a_deleted_version_keeps_its_number(tmp_path: Path, recipes: Path) -> None:
    _, folder = ledger.open_version(tmp_path / "out", "FuzzyBear", [recipes])
    shutil.rmtree(folder)
    assert ledger.open_version(tmp_path / "out", "FuzzyBear", [recipes])[0] == 7


def test_folders_that_came_without_claims_count(tmp_path: Path, recipes: Path) -> None:
    (tmp_path / "out" / "fuzzybear" / "v12").mkdir(parents=True)
    assert ledger.open_version(tmp_path / "out", "FuzzyBear", [recipes])[0] == 13


def _open_many(arguments: tuple[Path, Path]) -> list[int]:
    root, recipes = arguments
    return [ledger.open_version(root, "FuzzyBear", [recipes])[0] for _ in range(20)]


def test_parallel_starts_never_share_a_number(tmp_path: Path, recipes: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        numbers = [number for some in pool.map(_open_many, [(tmp_path / "out", recipes)] * 4) for number in some]
    assert sorted(numbers) == list(range(6, 86))


def test_unwritable_root_is_one_line(tmp_path: Path, recipes: Path) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    with pytest.raises(UserError, match=r"output_root=.*out cannot be written"):
        ledger.open_version(tmp_path / "out", "FuzzyBear", [recipes])


def test_find_by_number_and_latest(tmp_path: Path, recipes: Path) -> None:
    for _ in range(2):
        _, folder = ledger.open_version(tmp_path, "FuzzyBear", [recipes])
        Record(folder, "FuzzyBear", 6).write()
    ledger.open_version(tmp_path, "FuzzyBear", [recipes])  # has no record yet: not resumable
    assert ledger.find(tmp_path, "FuzzyBear", "latest").name == "v7"
    assert ledger.find(tmp_path, "FuzzyBear", "v6").name == "v6"
    with pytest.raises(UserError, match="has v6, v7"):
        ledger.find(tmp_path, "FuzzyBear", "v9")
    with pytest.raises(UserError, match="holds no version"):
        ledger.find(tmp_path, "Food", "latest")


def test_the_latest_is_one_that_began(tmp_path: Path, recipes: Path) -> None:
    starts: list[tuple[Status, bool]] = [("interrupted", True), ("failed", True), ("failed", False)]
    for status, began in starts:
        number, folder = ledger.open_version(tmp_path, "FuzzyBear", [recipes])
        Record(folder, "FuzzyBear", number, status=status).write()
        if began:
            (folder / "metrics.jsonl").touch()
    assert ledger.find(tmp_path, "FuzzyBear", "latest").name == "v7"
    assert ledger.find(tmp_path, "FuzzyBear", "v8").name == "v8", "it can be named all the same"
    shutil.rmtree(tmp_path / "fuzzybear" / "v6")
    shutil.rmtree(tmp_path / "fuzzybear" / "v7")
    with pytest.raises(UserError, match="holds no version to resume"):
        ledger.find(tmp_path, "FuzzyBear", "latest")


def test_only_what_a_process_trains_is_running(tmp_path: Path, recipes: Path) -> None:
    statuses: list[Status] = ["running", "running", "complete"]
    for status in statuses:
        number, folder = ledger.open_version(tmp_path, "FuzzyBear", [recipes])
        Record(folder, "FuzzyBear", number, status=status).write()
    # v6 in training; v7 killed; a kill leaves the lock's file, which says nothing
    with lock.take(tmp_path / "fuzzybear" / "v6"):
        lock.take(tmp_path / "fuzzybear" / "v7").close()
        found = {version.number: version.status for version in ledger.versions(tmp_path)}
    assert found == {6: "running", 7: "interrupted", 8: "complete"}
    assert [version.status for version in ledger.versions(tmp_path)] == ["interrupted", "interrupted", "complete"]


def test_a_lock_keeps_others_out_and_a_look_at_it_does_not(tmp_path: Path) -> None:
    (tmp_path / "v6").mkdir()
    with lock.take(tmp_path / "v6"):
        assert lock.is_locked(tmp_path / "v6")
        with pytest.raises(UserError, match=f"is being trained by process {os.getpid()}"):
            lock.take(tmp_path / "v6")
    with lock.standing_still(tmp_path / "v6"), lock.standing_still(tmp_path / "v6"):
        assert not lock.is_locked(tmp_path / "v6")
    # Somebody looks at the very moment: the lock is tried again.
    looking = lock.standing_still(tmp_path / "v6")
    looking.__enter__()
    timer = threading.Timer(lock.PAUSE / 2, lambda: looking.__exit__(None, None, None))
    timer.start()
    lock.take(tmp_path / "v6").close()
    timer.join()
