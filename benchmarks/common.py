"""What every benchmark does with its figures: one table on the terminal, one JSON beside the script's name."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def median_and_range(values: Sequence[float]) -> str:
    """Return `median (min to max)` with three digits."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def publish(name: str, title: str, rows: Sequence[Sequence[str]], figures: dict[str, object]) -> None:
    """Print a table (first row: headings) and write `results/<name>.json` with the figures and the machine."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(title)
    for number, row in enumerate(rows):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))
    RESULTS.mkdir(exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n")
