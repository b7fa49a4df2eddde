"""votes.jsonl: every vote that was given, one line each, in the order in which they were given.

Nothing in the file is ever changed: a vote that is taken back has a further line that says so. A line is written and
synced by one call, so that a crash can cost the last line at most; what it leaves of one is passed over.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from lorasweep.runs.record import now

Choice = Literal["left", "right", "tie", "skip"]
CHOICES: tuple[str, ...] = get_args(Choice)


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt and seed, side by side.

    Attributes:
        left: whose picture stands on the left, as `contenders.Contender.key` names it.
        right: whose stands on the right.
        cell: which prompt and seed, as `contenders` names them.
    """

    left: str
    right: str
    cell: str

    @property
    def swapped(self) -> Pair:
        """Return the same pictures with their sides changed."""
        return Pair(self.right, self.left, self.cell)

    @property
    def sides(self) -> frozenset[str]:
        """Return whose pictures they are, whatever the sides."""
        return frozenset((self.left, self.right))


@dataclass(frozen=True)
class Vote:
    """What somebody said of a pair.

    Attributes:
        pair: what was shown.
        choice: which side was better, that none was (`tie`), or that they passed (`skip`).
        repeats: whether the pair had been shown before, the other way round, to see whether they say the same.
        mark: names the vote in the file.
        time: when, ISO 8601.
    """

    pair: Pair
    choice: Choice
    repeats: bool = False
    mark: str = ""
    time: str = ""

    @property
    def winner(self) -> str | None:
        """Return whose picture was better; None of a tie or a skip."""
        return {"left": self.pair.left, "right": self.pair.right}.get(self.choice)


def read_votes(path: Path) -> list[Vote]:
    """Return the votes in a file that were not taken back, in order; none where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found: dict[str, Vote] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if "undo" in entry:
                found.pop(entry["undo"], None)
            elif entry["choice"] in CHOICES:
                found[entry["mark"]] = Vote(**(entry | {"pair": Pair(**entry["pair"])}))
        except (ValueError, TypeError, KeyError):
            continue  # half a line, of a crash
    return list(found.values())


def store_vote(path: Path, pair: Pair, choice: Choice, *, repeats: bool = False) -> Vote:
    """Store a vote and return it; it is on the disk when this returns.

    Args:
        path: of the file; its folder is made.
        pair: what was shown.
        choice: what was said.
        repeats: whether the pair had been shown before.

    Raises:
        OSError: the disk is full or the like.
    """
    vote = Vote(pair, choice, repeats, mark=secrets.token_hex(6), time=now())
    _append(path, asdict(vote))
    return vote


def undo_last(path: Path, votes: Sequence[Vote]) -> Vote | None:
    """Take the last of the votes back, and return it; None where there is none.

    Args:
        path: of their file.
        votes: as `read_votes` returned them.

    Raises:
        OSError: the disk is full or the like.
    """
    if not votes:
        return None
    _append(path, {"undo": votes[-1].mark, "time": now()})
    return votes[-1]


def _append(path: Path, entry: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        line = ("" if whole else "\n") + json.dumps(entry, ensure_ascii=False) + "\n"
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
