"""One process at a time trains a version: a lock in its folder, which the system drops with the process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lorasweep.errors import UserError
from lorasweep.runs import paths

TRIES, PAUSE = 10, 0.02  # whoever only looks at a lock holds it for a moment


class Locked(Exception):
    """Another process trains the version; the text is its id."""


def take(folder: Path) -> IO[str]:
    """Keep every other process from training the version in `folder`, until the returned file is closed.

    Raises:
        UserError: another process holds it.
    """
    path = paths.lock(folder)
    path.parent.mkdir(exist_ok=True)
    stream = open(path, "a+")  # noqa: SIM115  held for the whole run
    for _ in range(TRIES):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            time.sleep(PAUSE)
    else:
        holder = _holder(stream)
        stream.close()
        raise _busy(folder, holder)
    stream.seek(0)
    stream.truncate()
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    return stream


@contextmanager
def standing_still(folder: Path) -> Iterator[None]:
    """Keep every process from training the version in `folder`; one without a lock was never trained.

    Raises:
        Locked: a process trains it.
    """
    path = paths.lock(folder)
    if not path.exists():
        yield
        return
    with open(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            raise Locked(_holder(stream)) from None
        yield


def check_free(folder: Path) -> None:
    """Refuse a version that a process trains at this moment.

    Raises:
        UserError: it does.
    """
    try:
        with standing_still(folder):
            return
    except Locked as holder:
        raise _busy(folder, str(holder)) from None


def is_locked(folder: Path) -> bool:
    """Return whether a process trains the version in `folder` at this moment."""
    try:
        with standing_still(folder):
            return False
    except Locked:
        return True


def _busy(folder: Path, holder: str) -> UserError:
    return UserError(f"{folder} is being trained by process {holder}: wait for it, or stop it first")


def _holder(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read().strip() or "unknown"
