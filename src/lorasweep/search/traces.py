"""Where a trial failed, kept in a file of its study's folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lorasweep import files
from lorasweep.search.settings import FINALS


def write_trace(folder: Path, study: str, number: int, trace: str) -> None:
    """Write where a trial failed into a file of its study's folder, if that can be written.

    Args:
        folder: the study's.
        study: its name.
        number: the trial's.
        trace: the traceback.
    """
    with suppress(OSError):
        files.write_atomic(trace_path(folder, study, number), trace)


def trace_path(folder: Path, study: str, number: int) -> Path:
    """Return the path of a failed trial's traceback."""
    return folder / "failed" / f"{'finals-' if study.endswith(FINALS) else ''}{number}.txt"
