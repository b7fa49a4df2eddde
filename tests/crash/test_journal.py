"""A study's journal outlives writers that are killed: in the middle of a line, with the lock, with others waiting."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from lorasweep.errors import UserError
from lorasweep.search import journal
from lorasweep.search.journal import JournalFile


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def forked(action: Callable[[], object]) -> int:
    """Run `action` in a forked child; return its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; return its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def study_of(path: Path) -> optuna.Study:
    """The one study in the journal at `path`, read anew."""
    return optuna.load_study(storage=JournalStorage(JournalFile(path)), study_name="s")


def add(study: optuna.Study, value: float) -> None:
    study.tell(study.ask(), value)


def values(path: Path) -> list[float | None]:
    """The trials' values as a process sees them that opens the journal now; by Optuna's own backend too."""
    ours = [trial.value for trial in study_of(path).trials]
    theirs = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(path)))).trials
    assert [trial.value for trial in theirs] == ours
    return ours


def free(path: Path) -> bool:
    """Whether the lock can be had at once."""
    with open(path, "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def waits(process: int) -> bool:
    """Whether a process stands in line for a lock, as the kernel tells it."""
    return any(f"FLOCK  ADVISORY  WRITE {process} " in line for line in open("/proc/locks") if "->" in line)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two finished trials."""
    path = tmp_path / "studies" / "journal.log"
    study = optuna.create_study(storage=JournalStorage(JournalFile(path)), study_name="s")
    add(study, 0.0)
    add(study, 1.0)
    return path


LAST = '{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2026-01-01T00:00:00.000000+00:00"}'


@pytest.mark.parametrize("cut", [1, 12, 40, len(LAST) - 1])
def test_a_part_of_an_operation_is_cut_off_and_nothing_else_is_lost(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + LAST[:cut].encode())
    study_of(path)
    assert path.read_bytes() == whole
    add(study_of(path), 2.0)
    assert values(path) == [0.0, 1.0, 2.0]


def test_an_operation_that_lacks_only_the_end_of_its_line_is_kept(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + LAST.encode())
    add(study_of(path), 3.0)
    assert path.read_bytes().startswith(whole + LAST.encode() + b"\n")
    trials = study_of(path).trials
    assert [trial.state for trial in trials[2:]] == [TrialState.RUNNING, TrialState.COMPLETE]


@pytest.mark.parametrize("cut", [1, 40, len(LAST)])
def test_a_process_that_lives_on_mends_before_it_writes(path: Path, cut: int) -> None:
    living, reading = study_of(path), study_of(path)
    with open(path, "ab") as stream:
        stream.write(LAST[:cut].encode())
    assert len(reading.trials) == 2  # not seen before it is whole
    add(living, 2.0)
    assert [trial.value for trial in reading.trials if trial.state == TrialState.COMPLETE] == [0.0, 1.0, 2.0]
    add(reading, 3.0)
    assert [value for value in values(path) if value is not None] == [0.0, 1.0, 2.0, 3.0]


def test_every_cut_of_a_journal_can_be_opened_and_written(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for size in range(0, len(whole), 23):
        part = tmp_path / f"cut-{size}.log"
        part.write_bytes(whole[:size])
        before = whole[:size].count(b"\n")
        JournalFile(part).append_logs([{"op_code": 10}])
        lines = part.read_bytes().splitlines()
        assert all("op_code" in json.loads(line) for line in lines)
        assert len(lines) == before + 1 or whole[size : size + 1] == b"\n"


def test_a_writer_killed_in_the_middle_of_a_line_leaves_neither_a_lock_nor_a_broken_study(path: Path) -> None:
    def half_and_die(file: int, content: bytes) -> int:
        real_write(file, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    real_write = os.write
    living = study_of(path)
    before = path.read_bytes()

    def write_half() -> None:
        study = study_of(path)
        os.write = half_and_die  # type: ignore[assignment]
        add(study, 9.0)

    assert ended(forked(write_half)) == -signal.SIGKILL
    after = path.read_bytes()
    assert after.startswith(before) and not after.endswith(b"\n") and len(after) > len(before)
    assert free(path)
    assert list(path.parent.iterdir()) == [path]  # no lock file that Optuna's own backend would wait for
    add(living, 2.0)
    assert values(path) == [0.0, 1.0, 2.0]


def test_those_who_wait_for_the_lock_get_it_when_its_holder_is_killed(path: Path) -> None:
    taken, say = os.pipe()

    def hold() -> None:
        with JournalFile(path)._locked() as file:
            os.write(file, LAST[:30].encode())
            os.write(say, b"!")
            signal.pause()

    holder = forked(hold)
    try:
        os.read(taken, 1)
        assert not free(path)
        waiting = forked(lambda: add(study_of(path), 2.0))
        while not waits(waiting):
            assert os.waitpid(waiting, os.WNOHANG) == (0, 0)
            time.sleep(0.01)
    finally:
        os.kill(holder, signal.SIGKILL)
    assert ended(holder) == -signal.SIGKILL
    assert ended(waiting) == 0
    assert values(path) == [0.0, 1.0, 2.0]
    os.close(taken)
    os.close(say)


def test_a_child_forked_during_a_write_does_not_keep_the_lock(path: Path) -> None:
    with JournalFile(path)._locked():
        child = forked(signal.pause)  # has a copy of the descriptor for as long as it lives
    try:
        assert free(path)
    finally:
        os.kill(child, signal.SIGKILL)
        ended(child)


def test_threads_wait_for_one_another(path: Path) -> None:
    shared = JournalFile(path)

    def write(number: int) -> None:
        backend = shared if number % 2 else JournalFile(path)
        for i in range(25):
            backend.append_logs([{"op_code": 10, "of": number, "i": i, "x": "y" * 300}])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    for number in range(6):
        assert [entry["i"] for entry in found if entry.get("of") == number] == list(range(25))


def test_a_full_disk_leaves_no_half_operation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(path)
    before, real_write = path.read_bytes(), os.write

    def full(file: int, content: bytes) -> int:
        if not path.read_bytes().endswith(b"\n"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(file, content[:20])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            study.ask()
    assert path.read_bytes() == before
    add(study, 2.0)
    assert values(path) == [0.0, 1.0, 2.0]


def test_a_write_that_takes_only_a_part_is_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, content: real_write(file, content[:5]))
        JournalFile(path).append_logs([{"op_code": 10, "note": "ä" * 30}])
    assert json.loads(path.read_bytes().splitlines()[-1])["note"] == "ä" * 30


def cure_of(error: UserError, program: str) -> str:
    """The command in an error's text that starts with `program`."""
    found = re.search(rf"{program} .*", str(error))
    assert found, str(error)
    return found[0]


def test_a_study_that_another_program_broke_is_put_right_by_the_command_in_the_error(path: Path) -> None:
    with open(path, "ab") as stream:
        stream.write(LAST[:40].encode())
    careless = JournalFileBackend(str(path))  # does not look at the end before it writes
    line = path.read_bytes().count(b"\n") + 1
    for _ in range(2):
        careless.append_logs([json.loads(LAST)])
    with pytest.raises(UserError, match=re.escape(f"{path}, line {line}:")) as caught:
        study_of(path)
    subprocess.run(cure_of(caught.value, "sed"), shell=True, check=True)
    assert [trial.state for trial in study_of(path).trials[2:]] == [TrialState.RUNNING] * 2


@pytest.mark.parametrize("garbage", [b"\x00" * 50, b"[1, 2]", b"{}", b"\xff\xfe", b'{"op_code":5,'])
def test_a_line_that_is_no_operation_is_named_and_what_stands_before_it_can_be_kept(path: Path, garbage: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + garbage + b"\n" + b"".join(lines[3:]))
    with pytest.raises(UserError, match=re.escape(f"{path}, line 4:")) as caught:
        study_of(path)
    subprocess.run(cure_of(caught.value, "head"), shell=True, check=True)
    assert [trial.value for trial in study_of(path.with_name("journal-saved.log")).trials] == [0.0]


def test_a_broken_line_is_found_by_a_process_that_had_read_up_to_it(path: Path) -> None:
    study = study_of(path)
    line = path.read_bytes().count(b"\n") + 1
    with open(path, "ab") as stream:
        stream.write(b"nonsense\n")
    with pytest.raises(UserError, match=f"line {line}:"):
        assert study.trials


def test_a_reader_looks_again_with_the_lock_before_it_calls_a_line_broken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(path)
    add(study_of(path), 2.0)
    real_lines, calls = journal._lines, []

    def torn(file: int, start: int) -> object:
        calls.append(free(path))
        yield from ([b'{"op_co{"op_code"\n'] if len(calls) == 1 else real_lines(file, start))

    monkeypatch.setattr(journal, "_lines", torn)
    assert len(study.trials) in (2, 3)  # the first, broken read is replaced by what stands in the file
    assert calls[:2] == [True, False]
    monkeypatch.undo()
    assert [trial.value for trial in study.trials] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("content", [b"dear diary", b"a\nb", b'{"a": 1}', b"SQLite format 3\x00...."])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "notes.log"
    other.write_bytes(content)
    with pytest.raises(UserError, match="no journal of Optuna"):
        JournalFile(other)
    assert other.read_bytes() == content


def test_a_journal_that_is_taken_away_or_cut_is_said_and_not_begun_anew(path: Path) -> None:
    study = study_of(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="shorter than it was"):
        assert study.trials
    path.unlink()
    with pytest.raises(UserError, match="No such file"):
        add(study, 2.0)
    assert not path.exists()


def test_lines_longer_than_a_block_and_tails_longer_than_a_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_BLOCK", 16)
    with open(path, "ab") as stream:
        stream.write(LAST[:70].encode())
    add(study_of(path), 2.0)
    assert values(path) == [0.0, 1.0, 2.0]


def test_somebody_elses_study_can_be_read_but_not_written(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        theirs = Path(folder, "journal.log")
        theirs.write_bytes(path.read_bytes() + LAST[:20].encode())
        theirs.chmod(0o444)

        def look() -> None:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            study = study_of(theirs)
            assert len(study.trials) == 2
            with pytest.raises(UserError, match="cannot be written: Permission denied"):
                study.ask()

        assert ended(forked(look)) == 0


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match="knows no file locks"):
        JournalFile(tmp_path / "journal.log")
