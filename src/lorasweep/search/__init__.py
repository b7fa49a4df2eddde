"""Search: an Optuna study whose trials are jobs of any Hydra app. Knows nothing of training.

A job that wants to be pruned, or to tell more than a number, says:

    from lorasweep import search

    with search.trial() as trial:  # None outside a study
        ...
        if trial and (reason := trial.report(step, value)):
            trial.prune(reason)
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorasweep.search.job import Trial

__all__ = ["trial"]


def trial() -> AbstractContextManager[Trial | None]:
    """Open the trial that this job runs; gives None where the job belongs to no study.

    Leaving the block by an exception tells the study FAIL with the reason; by Ctrl-C, or SystemExit with a signal's
    exit code (`lorasweep.interruption`), that the trial was interrupted; leaving it without `finish` or `prune`
    leaves the telling to the sweeper.
    """
    from lorasweep.search.job import opened  # Optuna: only in a job

    return opened()
