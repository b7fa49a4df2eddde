"""train.log: what a run says, kept with the time it was said at."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from types import TracebackType

LOGGER = logging.getLogger("lorasweep")


def keep(lines: str) -> None:
    """Write lines to the open train.log alone."""
    for line in lines.splitlines() if LOGGER.handlers else ():
        LOGGER.info(line)


class Log:
    """An open train.log: every line of `echo`, and every record of the loggers below `lorasweep`, with its time.

    Appends, since a resumed version goes on in the same file. A context manager.

    Raises:
        OSError: the file cannot be written (on opening; a disk that is full later costs log lines, not the run).
    """

    def __init__(self, path: Path) -> None:
        self._handler = _FileHandler(path, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        LOGGER.addHandler(self._handler)
        LOGGER.setLevel(logging.INFO)
        # The terminal has the line already: other handlers (Hydra's) would print it again.
        LOGGER.propagate = False

    def close(self) -> None:
        """Stop writing to the file and close it; a second call does nothing."""
        LOGGER.removeHandler(self._handler)
        with suppress(OSError):  # lines that a full disk did not take
            self._handler.close()
        if not LOGGER.handlers:
            LOGGER.propagate = True
            LOGGER.setLevel(logging.NOTSET)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_log(path: Path) -> Log:
    """Write what is said from now on to `path` too, until the log is closed."""
    return Log(path)


class _FileHandler(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line: a full disk must not fill the terminal with tracebacks; metrics.jsonl raises the alarm."""
