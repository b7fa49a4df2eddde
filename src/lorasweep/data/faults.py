"""What is wrong with the files of a data folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lorasweep.errors import Problem
from lorasweep.text.encoding import readable

LISTED = 10
"""So many faults of one kind are told one by one."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with one file or folder.

    Args:
        text: what is wrong, and what to do.
        path: where; None where the text says so itself.
        kind: equal for faults that need not all be told; empty: of a kind of its own.
    """

    text: str
    path: Path | None = None
    kind: str = ""

    def __str__(self) -> str:
        """Return the line that the user reads."""
        return readable(self.text if self.path is None else f"{self.path}: {self.text}")


def problems_of(faults: Iterable[Fault]) -> list[Problem]:
    """Return the lines to tell: of each kind the first ten, and how many there are besides."""
    lines, seen = [], Counter[str]()
    for fault in faults:
        seen[fault.kind] += bool(fault.kind)
        if seen[fault.kind] <= LISTED:
            lines.append(Problem(str(fault)))
    more = [(kind, count - LISTED) for kind, count in seen.items() if count > LISTED]
    return lines + [Problem(f"... and {count} more files: {kind}") for kind, count in more]
