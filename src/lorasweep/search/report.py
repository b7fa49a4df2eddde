"""What a search shows of itself: implemented above this room, and handed to the sweeper."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from lorasweep.search.ranking import RankedTrial


class Observer(Protocol):
    """Follows a search while it runs: the live table."""

    def finished(self, trial: FrozenTrial) -> None:
        """Take note of a trial that has ended."""

    def print_line(self, line: str) -> None:
        """Print a line."""


class SearchReporter(Protocol):
    """Shows a search while it runs, and its results when it is over."""

    def board(
        self, study: optuna.Study, total: int | None, capacity: int, title: str
    ) -> AbstractContextManager[Observer]:
        """Return what follows a study while entered.

        Args:
            study: the study.
            total: how many trials there will be, those of an earlier run included.
            capacity: how many run at a time.
            title: what runs.
        """

    def results(self, study: optuna.Study, rows: Sequence[RankedTrial], folder: Path, *, plots: bool) -> None:
        """Write the results of a study that has ended into its folder, and print them.

        Args:
            study: the study.
            rows: its trials, best first.
            folder: the study's.
            plots: whether to draw its plots too.

        Raises:
            OSError: the folder cannot be written.
        """
