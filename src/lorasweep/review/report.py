"""What the user sees of a search that runs, and what it leaves: board, leaderboard, result files and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna

from lorasweep.review import leaderboard
from lorasweep.review.board import Board
from lorasweep.review.plots import draw_plots
from lorasweep.review.results import write_results
from lorasweep.search.ranking import RankedTrial


class TerminalReporter:
    """Shows a search on the terminal, and writes its results; a `lorasweep.search.report.Report`."""

    def board(self, study: optuna.Study, total: int | None, capacity: int, title: str) -> Board:
        """Return the live table of a study."""
        return Board(study, total, capacity, title)

    def results(self, study: optuna.Study, rows: Sequence[RankedTrial], folder: Path, *, plots: bool) -> None:
        """Write result files and plots, print the leaderboard and where the files are."""
        written = write_results(study, rows, folder)
        plots_report = draw_plots(study, folder / "plots") if plots else None
        leaderboard.show(study, rows)
        print(f"\nresults   {written[-1]}")
        if plots_report:
            print(f"plots     {folder / 'plots'}")
