"""Where a study is kept, by URL: a journal file, SQLite, PostgreSQL, MySQL, or another machine's proxy.

journal:///study.log          a file beside you: three slashes and a relative path, four for an absolute one
sqlite:///study.db            the same for SQLite: one machine, few processes
postgresql://me@host/studies  a server, as is mysql://me@host/studies
grpc://host:13000             a machine that runs `lorasweep storage URL --port 13000` in front of any of these
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.exceptions import ExperimentalWarning
from optuna.storages import (
    BaseStorage,
    GrpcStorageProxy,
    JournalStorage,
    RDBStorage,
    run_grpc_proxy_server,
)

from lorasweep.errors import UserError
from lorasweep.search.journal import JournalFile
from lorasweep.search.optuna_internals import Database
from lorasweep.text.exceptions import message

if TYPE_CHECKING:
    from sqlalchemy import URL

PORT = 13000  # Optuna's own for its proxy
WAIT = 10.0  # seconds that a server is given to answer
_BUSY = 60.0  # seconds that SQLite waits for another process's transaction
_TITLE = "The study's storage cannot be used"
_SCHEMES = (
    "journal:///study.log, sqlite:///study.db, postgresql://user@host/name, mysql://user@host/name, grpc://host:port"
)
# Drivers by database, the preferred one first: (module, what SQLAlchemy calls it, how it is installed).
_DRIVERS = {
    "postgresql": [("psycopg", "psycopg", "pip install 'psycopg[binary]'"), ("psycopg2", "psycopg2", "")],
    "mysql": [("pymysql", "pymysql", "pip install pymysql"), ("MySQLdb", "mysqldb", "")],
}


def open_storage(url: str, create: bool = True) -> BaseStorage:
    """Open the storage at `url`, making files, folders and tables that are missing.

    Args:
        url: one of the forms above; a bare path that ends in .log is a journal. `~` and relative paths are resolved
            against the current folder (see `resolved`).
        create: whether a journal or SQLite file may be made; looking at a study should not make one.

    Raises:
        UserError: the URL is of no known form, its file or folder cannot be used, a driver is missing, or no server
            answers within `WAIT` seconds. The password is never part of it.
    """
    url = resolved(url)
    scheme, rest = url.split("://", 1)
    kind = scheme.partition("+")[0]
    if kind == "grpc":
        return _open_proxy(rest)
    if kind not in ("journal", "sqlite"):
        return _open_server(url)
    path = Path(rest.removeprefix("/").partition("?")[0] if kind == "sqlite" else rest.removeprefix("/"))
    if not create and not path.exists():
        raise UserError(f"{path} does not exist: no study has been kept there", _TITLE)
    return JournalStorage(JournalFile(path)) if kind == "journal" else _open_sqlite(url, path)


def journal_url(path: Path | str) -> str:
    """Return the URL of the journal at `path`."""
    return f"journal:///{Path(path).expanduser().absolute()}"


def resolved(url: str) -> str:
    """Return `url` so that it means the same in every folder: what goes to jobs, which may change theirs.

    Raises:
        UserError: the URL is of no known form; the message lists those that are.
    """
    url = url.strip()
    if "://" not in url and url.endswith(".log"):
        return journal_url(url)
    scheme, found, rest = url.partition("://")
    kind = scheme.partition("+")[0]
    if kind == "postgres":  # as many hosts write it
        scheme, kind = scheme.replace("postgres", "postgresql", 1), "postgresql"
    if not found or kind not in ("journal", "sqlite", "grpc", *_DRIVERS):
        raise UserError(f"storage={redacted(url)}: not a known form; expected one of {_SCHEMES}", _TITLE)
    if kind not in ("journal", "sqlite"):
        return f"{scheme}://{rest}"
    place, question, options = rest.partition("?") if kind == "sqlite" else (rest, "", "")
    name = place.removeprefix("/")
    if name in ("", ":memory:") or name.startswith("file:"):
        raise UserError(
            f"storage={url}: several processes share a study, so it needs a file: {kind}:///study.log", _TITLE
        )
    first = name.split("/")[0]
    relative = not place.startswith("//") and first not in (".", "..", "~")
    if place.startswith("/") and relative and Path("/", first).is_dir() and not Path(first).exists():
        # Three slashes are read as SQLite has always read them. Who means /home/me must not get a folder "home" here.
        raise UserError(
            f"storage={url}: three slashes and a relative path, four for an absolute one. Did you mean "
            f"{kind}:////{name}, or {kind}:///./{name} in the current folder?",
            _TITLE,
        )
    return f"{scheme}:///{Path(name).expanduser().absolute()}{question}{options}"


def redacted(url: str) -> str:
    """Return `url` fit for a screen, a log or a record: with its password hidden."""
    url = re.sub(r"(://[^:/?#@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*passw(?:or)?d=)[^&]*", r"\1***", url)


def serve_storage(
    url: str, host: str = "localhost", port: int = PORT, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve the storage at `url` to other machines as grpc://host:port; blocks until interrupted.

    The proxy asks nobody who they are: it belongs on a network where all may write to the study.

    Args:
        url: where the study is kept, in any other form of `open_storage`.
        host: address to listen on; 0.0.0.0 for all of this machine's.
        port: 1 to 65535.
        ready: called when the storage is open and nothing stands in the way of serving it.

    Raises:
        UserError: the storage cannot be opened, grpcio is missing, or the port is taken.
    """
    if resolved(url).startswith("grpc://"):
        raise UserError(f"storage={url}: a proxy in front of a proxy; give the URL of the storage itself", _TITLE)
    _need_grpc()
    storage = open_storage(url)
    try:
        # gRPC would share the port with a proxy that is there already, and deal the clients out between the two.
        socket.create_server((host, port)).close()
        ready()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            run_grpc_proxy_server(storage, host=host, port=port)
    except KeyboardInterrupt:
        return
    except (OSError, OverflowError, RuntimeError) as error:
        raise UserError(
            f"{host}:{port}: nothing can be served there ({_line(error)}); check --host, or give another --port", _TITLE
        ) from None


def _open_sqlite(url: str, path: Path) -> BaseStorage:
    """Open a SQLite file whose writers wait for one another.

    A new file gets a write-ahead log, and a transaction is over when the operating system has it. Processes may die
    at any moment and nothing is lost; a power cut may take the last seconds, as it may not with a journal. With the
    disk waited for at each of a trial's many transactions, SQLite is several times slower.
    """
    import sqlite3

    from sqlalchemy import event

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Asked, not tried: opening and closing the file would lift the locks of this process's other connections.
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened: {error.strerror}; check the path and who may write there", _TITLE
        ) from None
    if not path.exists():
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode=WAL")  # kept in the file; refused while others use it, without harm
    database = _open_database(url, {"connect_args": {"timeout": _BUSY}})
    event.listen(database.engine, "connect", lambda file, _: file.execute("PRAGMA synchronous=NORMAL"))
    database.engine.dispose()  # the connection from before that was said
    return Database(database)


def _open_server(url: str) -> BaseStorage:
    """Open a database on a server."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UserError(f"storage={redacted(url)}: cannot be read as a URL; expected {_SCHEMES}", _TITLE) from None
    parsed = _with_driver(parsed)
    # A connection that the server or a firewall dropped during a long run is noticed and opened anew.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if "connect_timeout" not in parsed.query:
        options["connect_args"] = {"connect_timeout": int(WAIT)}
    return Database(_open_database(parsed.render_as_string(hide_password=False), options))


def _with_driver(url: URL) -> URL:
    """Return `url` with a driver that is installed.

    Raises:
        UserError: there is none, or not the one that the URL asks for.
    """
    kind, _, driver = url.drivername.partition("+")
    known = _DRIVERS[kind]
    for module, name, _ in known:
        if driver in ("", name) and importlib.util.find_spec(module):
            return url.set(drivername=f"{kind}+{name}")
    if driver and driver not in [name for _, name, _ in known]:
        return url  # one that SQLAlchemy may know; it says so if not
    install = next(install for _, name, install in known if driver in ("", name)) or f"pip install {driver}"
    raise UserError(f"storage={kind}://…: Python needs a driver for this database: {install}", _TITLE)


def _open_database(url: str, options: dict[str, Any]) -> RDBStorage:
    """Open a database through SQLAlchemy, once more where other processes make its tables at the same moment."""
    from sqlalchemy.exc import SQLAlchemyError

    for attempt in range(5):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except ImportError as error:
            raise UserError(f"storage={redacted(url)}: {_line(error)}", _TITLE) from None
        except (SQLAlchemyError, RuntimeError) as error:
            reason = _line(getattr(error, "orig", None) or error)
            if attempt < 4 and re.search(r"already exists|duplicate key|UNIQUE constraint", reason):
                time.sleep(0.2 * (attempt + 1))
                continue
            raise UserError(f"storage={redacted(url)}: {reason}", _TITLE) from None
    raise AssertionError("not reached")


def _open_proxy(address: str) -> BaseStorage:
    """Open the storage that a proxy at `address` ("host:port") serves, once it answers."""
    host, _, port = address.rstrip("/").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"storage=grpc://{address}: expected grpc://host:port, such as grpc://localhost:{PORT}", _TITLE)
    _need_grpc()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=int(port))
    try:
        proxy.wait_server_ready(timeout=WAIT)
    except ConnectionError:
        raise UserError(
            f"storage=grpc://{address}: nothing answers there after {WAIT:.0f} s; start it on that machine with "
            f"lorasweep storage URL --host 0.0.0.0 --port {port}",
            _TITLE,
        ) from None
    return proxy


def _need_grpc() -> None:
    """Raise a UserError where gRPC is not installed."""
    try:
        import google.protobuf  # noqa: F401
        import grpc  # noqa: F401
    except ImportError:
        raise UserError("storage=grpc://…: Python needs gRPC for this: pip install grpcio protobuf", _TITLE) from None


def _line(error: BaseException) -> str:
    """Return what an error says on one line, with no URL's password in it."""
    return redacted(message(error))
