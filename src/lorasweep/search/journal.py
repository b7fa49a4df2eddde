"""A study's journal: one file, one JSON line per operation, safe against writers that are killed.

Optuna replays the lines of such a file to know a study. Its own file backend has two weak spots. A writer that is
killed while it holds the lock leaves a lock file behind, which stops everybody for half a minute; and a writer that is
killed in the middle of a line leaves half of it, to which the next writer glues its own: from then on nobody can read
the study. Here the lock is flock(2), which the kernel lifts when its holder dies, and whoever has the lock mends the
end of the file before writing. The format stays Optuna's: optuna-dashboard and Optuna's own backend read the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from lorasweep.errors import UserError

_BLOCK = 1 << 20  # bytes read at a time
_OPENING = b'{"op_code"'  # how Optuna's lines begin; within a text the quotes would be escaped
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}

log = logging.getLogger(__name__)


class JournalFile(BaseJournalBackend):
    """Optuna's journal in one file that several processes (and threads) append to.

    The lock is on the journal itself, not on a file beside it: on NFS, taking it also refreshes the client's view of
    the file, and a journal that is copied or moved takes everything along.

    Args:
        path: the journal; it and its folder are made when missing.

    Raises:
        UserError: the file cannot be made or opened, is no journal, or its file system knows no locks.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self._position = (0, 0)  # operations read so far; the byte at which the next one begins
        try:
            self._create()
            with self._locked() as file:
                self._mend(file)
        except OSError as error:
            # A study that belongs to somebody else can be looked at: reading needs neither lock nor mending.
            if error.errno not in _READ_ONLY or not os.access(self.path, os.R_OK):
                raise self._cannot("opened", error) from None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the operations from number `log_number_from` (0 is the first) to the last whole line.

        No lock is taken: a line without its end may still be in the writing and is left for the next call.

        Raises:
            UserError: a line cannot be read, or the file is gone or shorter than what was read before.
        """
        number, start = self._position if self._position[0] <= log_number_from else (0, 0)
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._cannot("read", error) from None
        try:
            if os.fstat(file).st_size < start:
                raise UserError(
                    f"{self.path} is shorter than it was: it was cut or replaced while in use; end all that uses this "
                    "study, then start again",
                    "The study cannot be read",
                )
            for line in _lines(file, start):
                operation = _operation(line)
                if operation is None:
                    line = self._second_look(start)
                    operation = _operation(line)
                    if operation is None:
                        raise _unreadable(self.path, number + 1, line)
                number, start = number + 1, start + len(line)
                self._position = (number, start)
                if number > log_number_from:
                    yield operation
        finally:
            os.close(file)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations; they are on disk (fsync) when this returns.

        Raises:
            OSError: the disk is full or the like; an operation of which only a part was written is taken back.
            UserError: the file cannot be opened for writing.
        """
        rest = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in logs).encode()
        try:
            with self._locked() as file:
                self._mend(file)
                try:
                    while rest:
                        rest = rest[os.write(file, rest) :]
                except BaseException:
                    self._mend(file)
                    raise
                os.fsync(file)
        except (FileNotFoundError, PermissionError) as error:
            raise self._cannot("written", error) from None

    def _create(self) -> None:
        """Make the journal, and its folder, unless they exist."""
        if self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Give the journal, opened for appending, while nobody else has it; waits for as long as it takes."""
        # A descriptor of its own each time: flock then also keeps the threads of one process apart.
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file
            finally:
                # Said outright: closing alone would not lift it where a fork in another thread copied the descriptor.
                fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            os.close(file)

    def _mend(self, file: int) -> None:
        """Make the journal end in a whole line, with the lock held: usually one look at its last byte.

        A whole operation that lacks only the line's end gets it: its writer died before it could learn that the
        operation was done, and every other process would have seen it. A part of one is cut off: nobody has seen it.
        """
        size = os.fstat(file).st_size
        if size == 0 or os.pread(file, 1, size - 1) == b"\n":
            return
        start = _last_line(file, size)
        tail = os.pread(file, size - start, start)
        first = next(_lines(file, 0), tail)
        if _operation(first) is None and (start or not tail.startswith(_OPENING[: len(tail)])):
            raise UserError(
                f"{self.path} is no journal of Optuna (nothing in it was changed); give another path",
                "The study's storage cannot be opened",
            )
        if _operation(tail) is not None:
            os.write(file, b"\n")
        else:
            os.ftruncate(file, start)
        os.fsync(file)
        log.warning("%s: mended the end, where a writer was killed in the middle of an operation", self.path)

    def _second_look(self, start: int) -> bytes:
        """Return the line at byte `start` as it is when nobody writes.

        A reader without the lock could in principle see a line change while it was being mended.
        """
        try:
            with self._locked() as file:
                return next(_lines(file, start), b"")
        except OSError:  # not ours to write
            with open(self.path, "rb") as stream:
                stream.seek(start)
                return stream.readline()

    def _cannot(self, what: str, error: OSError) -> UserError:
        """Return the error for the user that `error` means."""
        cure = "check the path, the space left and who may write there"
        if error.errno in _NO_LOCKS:
            cure = (
                "its file system knows no file locks: put the journal on another one, or let one machine serve it "
                "(lorasweep storage URL) and use storage=grpc://host:port"
            )
        reason = os.strerror(error.errno) if error.errno else str(error)
        return UserError(f"{self.path} cannot be {what}: {reason}; {cure}", "The study's storage cannot be used")


def _lines(file: int, start: int) -> Iterator[bytes]:
    """Yield the whole lines from byte `start` on, each with its end.

    Every line comes out of a single read: one that was read in two could have been mended in between.
    """
    size = _BLOCK
    while block := os.pread(file, size, start):
        whole = block.rfind(b"\n") + 1
        if not whole and len(block) < size:
            return
        size = _BLOCK if whole else 2 * size
        start += whole
        yield from block[:whole].splitlines(keepends=True)


def _last_line(file: int, size: int) -> int:
    """Return the byte at which the last line begins of a file of `size` bytes."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _operation(line: bytes) -> dict[str, Any] | None:
    """Return the operation a line holds; None when it holds none."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "op_code" in value else None


def _unreadable(path: Path, number: int, line: bytes) -> UserError:
    """Return the error for line `number` (the first is 1), with the cure that fits what the line holds."""
    cut, opening = line.rfind(_OPENING), _OPENING.decode()
    if cut > 0 and _operation(line[cut:]) is not None:
        cure = (
            "a writer was killed there by a program that does not mend the end, and the next one went on in the same "
            f"line. Remove the half operation: sed -i.bak '{number}s/^.*{opening}/{opening}/' {path}"
        )
    elif number == 1:
        cure = "is this a journal of Optuna? Give another path"
    else:
        cure = (
            "what stands there was not written by Optuna. Restore the file from a copy, or keep what stands before it: "
            f"head -n {number - 1} {path} > {path.with_stem(path.stem + '-saved')}"
        )
    return UserError(f"{path}, line {number}: not a whole operation; {cure}", "The study cannot be read")
