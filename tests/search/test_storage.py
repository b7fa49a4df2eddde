"""Storage URLs: what they mean, what is wrong with them, and that no password is ever shown."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage

from lorasweep.errors import UserError
from lorasweep.search.storage import journal_url, open_storage, redacted, resolved, serve_storage


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(kept: BaseStorage) -> list[str]:
    return [study.study_name for study in kept.get_all_studies()]


@pytest.mark.parametrize("kind, end", [("journal", "log"), ("sqlite", "db")])
def test_three_slashes_are_relative_and_four_absolute(here: Path, kind: str, end: str) -> None:
    path = f"studies/deep/s.{end}"
    assert resolved(f"{kind}:///{path}") == f"{kind}:///{here}/{path}"
    assert resolved(f"{kind}:///{here}/{path}") == f"{kind}:///{here}/{path}"
    assert resolved(f"{kind}:///~/x.{end}") == f"{kind}:///{Path.home()}/x.{end}"
    optuna.create_study(storage=open_storage(f"{kind}:///{path}"), study_name="kept")
    assert Path(here, path).is_file()
    os.chdir("/")
    assert names(open_storage(f"{kind}:///{here}/{path}")) == ["kept"]
    if kind == "sqlite":
        assert names(open_storage(f"sqlite+pysqlite:///{here}/{path}?timeout=5")) == ["kept"]


def test_a_path_that_ends_in_log_is_a_journal(here: Path) -> None:
    assert resolved("runs/s.log") == journal_url("runs/s.log") == f"journal:///{here}/runs/s.log"
    assert resolved("journal://runs/s.log") == journal_url("runs/s.log")


@pytest.mark.parametrize(
    "url",
    [
        "journal:////a/b.log",
        "sqlite:////a/b.db?cache=shared",
        "grpc://host:1",
        "postgresql+psycopg://me:p%40@h:1/d?a=b",
    ],
)
def test_what_is_resolved_stays(url: str) -> None:
    assert resolved(url) == url


def test_postgres_is_postgresql() -> None:
    assert resolved("postgres://me@host/d") == "postgresql://me@host/d"


def test_an_absolute_path_with_three_slashes_is_asked_about(here: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"journal:////{str(here)[1:]}/s.log")):
        open_storage(f"journal://{here}/s.log")
    assert list(here.iterdir()) == []
    (here / here.parts[1]).mkdir()  # now it can be meant
    assert resolved(f"journal://{here}/s.log") == f"journal:///{here}{here}/s.log"


@pytest.mark.parametrize("url", ["redis://localhost", "study.db", "", "postgresql:/me@host", "http://a/b.log"])
def test_an_unknown_form_is_answered_with_the_known_ones(url: str) -> None:
    with pytest.raises(UserError) as caught:
        open_storage(url)
    for form in ("journal:///", "sqlite:///", "postgresql://", "mysql://", "grpc://"):
        assert form in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "journal:///"])
def test_a_storage_that_processes_cannot_share_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="needs a file"):
        open_storage(url)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_path_that_cannot_be_used_is_said(here: Path, kind: str) -> None:
    (here / "file").write_text("x")
    with pytest.raises(UserError, match=r"Not a directory|File exists"):
        open_storage(f"{kind}:///file/s.log")
    (here / "folder").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        open_storage(f"{kind}:///folder")


def test_a_file_that_is_no_database_is_said_and_kept(here: Path) -> None:
    (here / "notes.db").write_text("dear diary " * 100)
    with pytest.raises(UserError, match="file is not a database"):
        open_storage("sqlite:///notes.db")
    assert (here / "notes.db").read_text().startswith("dear diary")


@pytest.mark.parametrize("url", ["journal:///a/s.log", "sqlite:///a/s.db"])
def test_looking_makes_no_files(here: Path, url: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        open_storage(url, create=False)
    assert list(here.iterdir()) == []
    open_storage(url)
    assert names(open_storage(url, create=False)) == []


def test_a_new_sqlite_file_has_a_write_ahead_log_and_an_old_one_keeps_its_mode(here: Path) -> None:
    for url in ("sqlite:///new.db", "sqlite:///old.db"):
        if "old" in url:
            with sqlite3.connect("old.db") as file:
                file.execute("CREATE TABLE mine (a)")
            file.close()
        optuna.create_study(storage=open_storage(url))
    modes = [sqlite3.connect(f"{name}.db").execute("PRAGMA journal_mode").fetchone()[0] for name in ("new", "old")]
    assert modes == ["wal", "delete"]


def test_opening_a_sqlite_file_again_leaves_the_locks_of_the_first(here: Path) -> None:
    """Closing any descriptor of a file lifts a process's POSIX locks on it: no path may open the file by itself."""
    with sqlite3.connect("s.db") as file:
        file.execute("CREATE TABLE mine (a)")  # an older file, whose locks are on the file itself
    file.close()
    kept = open_storage("sqlite:///s.db")
    with kept._backend.engine.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        open_storage("sqlite:///s.db")
        # A program of its own, not a fork: that would inherit what SQLite remembers of this process's locks.
        program = "import sqlite3; sqlite3.connect('s.db', timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert "database is locked" in other.stderr


@pytest.mark.parametrize("url", ["journal:///s.log", "sqlite:///s.db"])
def test_a_storage_can_be_pickled(url: str) -> None:
    kept = open_storage(url)
    optuna.create_study(storage=kept, study_name="kept")
    again = pickle.loads(pickle.dumps(kept))
    optuna.create_study(storage=again, study_name="more")
    assert names(open_storage(url)) == ["kept", "more"]


@pytest.mark.parametrize(
    "url, seen",
    [
        ("postgresql://me:secret@host:5432/d", "postgresql://me:***@host:5432/d"),
        ("postgresql+psycopg://me:se:c@r/et@host/d?x=1", "postgresql+psycopg://me:***@host/d?x=1"),
        ("mysql://:secret@host/d", "mysql://:***@host/d"),
        ("postgresql://host/d?user=me&password=secret&x=1", "postgresql://host/d?user=me&password=***&x=1"),
        ("postgresql://me@host:5432/d", "postgresql://me@host:5432/d"),
        ("journal:////a/b@c:d.log", "journal:////a/b@c:d.log"),
        ("grpc://host:13000", "grpc://host:13000"),
    ],
)
def test_passwords_are_hidden(url: str, seen: str) -> None:
    assert redacted(url) == seen


@pytest.mark.parametrize(
    "url, module, install",
    [
        ("postgresql://me:secret@host/d", "psycopg", "pip install 'psycopg[binary]'"),
        ("mysql://me:secret@host/d", "pymysql", "pip install pymysql"),
    ],
)
def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, url: str, module: str, install: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape(install)) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)


def test_a_driver_that_nobody_knows_is_said() -> None:
    with pytest.raises(UserError) as caught:
        open_storage("postgresql+nosuch://me:secret@host/d")
    assert "nosuch" in str(caught.value) and "secret" not in str(caught.value)


def test_a_url_that_cannot_be_read_is_shown_without_its_password() -> None:
    with pytest.raises(UserError) as caught:
        open_storage("postgresql://me:secret@host:port/d")
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_one_line_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UserError) as caught:
        open_storage("postgresql://me:secret@127.0.0.1:1/d")
    (problem,) = caught.value.problems
    assert "\n" not in problem and "refused" in problem and "me:***@127.0.0.1:1" in problem
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":13000", "localhost:http"])
def test_a_proxys_address_needs_host_and_port(address: str) -> None:
    with pytest.raises(UserError, match="expected grpc://host:port"):
        open_storage(f"grpc://{address}")


def test_grpc_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    for act in (lambda: open_storage("grpc://localhost:1"), lambda: serve_storage("journal:///s.log")):
        with pytest.raises(UserError, match="pip install grpcio protobuf"):
            act()


def test_a_proxy_in_front_of_a_proxy_is_refused() -> None:
    with pytest.raises(UserError, match="a proxy in front of a proxy"):
        serve_storage("grpc://localhost:1")
