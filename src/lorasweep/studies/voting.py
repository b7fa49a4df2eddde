"""What a trial is worth where people say so (objective=human): the trial waits for their votes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from lorasweep.runs import ledger
from lorasweep.runs.record import Record
from lorasweep.votes.ballots import Vote
from lorasweep.votes.contenders import Contender
from lorasweep.votes.places import study_of, votes_of_study
from lorasweep.votes.poll import Poll
from lorasweep.votes.questions import open_cells
from lorasweep.votes.strengths import strengths

POLL_S = 1.0
"""Seconds between two looks at the votes."""


def study_poll(output_root: Path | str, study: str) -> Poll:
    """Return the poll on the trials of a study, those of its repeats and folds included.

    Args:
        output_root: folder of all versions.
        study: its name, or that of its repeats and folds.
    """
    name = study_of(study)

    def versions() -> Sequence[ledger.RecordedVersion]:
        return [version for version in ledger.versions(output_root) if study_of(version.record.study) == name]

    return Poll(name, votes_of_study(output_root, name), versions)


def voted_value(poll: Poll, folder: Path, wanted: int) -> float | None:
    """Wait until people have voted on a version; return by how much they prefer it to the base, and record it.

    It is the strength at that moment, by all votes on the study so far. The wait ends before `wanted` votes where every
    pair that the version is in was shown: the first trial has nothing to be compared with but the base.

    Args:
        poll: of the study.
        folder: of the version.
        wanted: votes that are waited for; 0 waits for none.

    Returns:
        The value; None where the version has no pictures to vote on.
    """
    while True:
        there, votes = poll.contenders(), poll.votes
        own = next((contender for contender in there if _is_in(contender, folder)), None)
        if own is None:
            return None
        if _given(own, votes) >= wanted or not any(own.key in pair for pair in open_cells(there, votes)):
            break
        time.sleep(POLL_S)
    found = strengths([contender.key for contender in there], votes)
    base = next((contender.key for contender in there if contender.folder is None), None)
    value = found.of(own.key)[0] if base is None else found.difference(own.key, base)[0]
    record = Record.read(folder)
    record.objective.value = value
    record.write()
    return value


def _is_in(contender: Contender, folder: Path) -> bool:
    return contender.folder is not None and contender.folder.resolve() == folder.resolve()


def _given(contender: Contender, votes: Sequence[Vote]) -> int:
    """Return how many votes there are on a contender; skips are none."""
    return sum(contender.key in vote.pair.sides and vote.choice != "skip" for vote in votes)
