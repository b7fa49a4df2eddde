"""metrics.jsonl: one JSON object per line. The one tracker that is always on, and the source of the curves."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lorasweep import files


class JsonLines:
    """Appends rows to `metrics.jsonl`; each row is with the operating system before `metrics` returns.

    Args:
        path: the file; its folder must exist.
        resumed_step: drop rows beyond this step first, since they will be written again. None: keep every row.

    Raises:
        OSError: the file cannot be written. Unlike other trackers' errors this one is meant to stop the version.
    """

    def __init__(self, path: Path, resumed_step: int | None = None) -> None:
        truncate_after(path, resumed_step)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Append one row: step, epoch where given, then the metrics. Values that JSON lacks (NaN, inf) become null."""
        row: dict[str, Any] = {"step": step}
        if "epoch" in values:
            row["epoch"] = values["epoch"]
        row |= {name: _number(value) for name, value in values.items() if name not in row}
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        end = os.fstat(self._file).st_size
        try:
            # A nearly full disk takes part of a line without complaint; the next write then says so.
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            os.ftruncate(self._file, end)
            raise

    def close(self) -> None:
        """Close the file; rows can no longer be added."""
        os.close(self._file)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return every whole row of a metrics file in its order; [] if there is no file."""
    return [row for _, row in _parsed(path)]


def truncate_after(path: Path, step: int | None) -> None:
    """Drop rows beyond `step` (None: no row) and whatever is not a whole row, such as a torn last line. Atomic."""
    if not path.exists():
        return
    kept = b"".join(line for line, row in _parsed(path) if step is None or row["step"] <= step)
    if kept != path.read_bytes():
        files.write_atomic(path, kept)


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Put `change(row)` in the place of every row, and drop whatever is not a whole row. Atomic."""
    if not path.exists():
        return
    rows = b"".join((json.dumps(change(row), allow_nan=False) + "\n").encode() for row in read_rows(path))
    if rows != path.read_bytes():
        files.write_atomic(path, rows)


def _parsed(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    content = path.read_bytes() if path.exists() else b""
    for line in content.splitlines(keepends=True):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        # A row without its newline was cut while it was written: the next append would glue onto it.
        if line.endswith(b"\n") and isinstance(row, dict) and isinstance(row.get("step"), int):
            yield line, row


def _number(value: Any) -> float | int | None:
    if isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
