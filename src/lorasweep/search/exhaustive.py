"""Optuna's samplers that try every combination once, for studies whose trials also come from elsewhere.

Both ask the study to stop once all is tried, which Optuna allows within `Study.optimize` only; here the sweeper itself
sees that nothing is left to try.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.samplers import BruteForceSampler, GridSampler
from optuna.trial import FrozenTrial, TrialState

from lorasweep.search.budget import tried
from lorasweep.search.optuna_internals import (
    FIXED_PARAMS,
    GRID_ID,
    points_of,
    storage_of,
    study_id_of,
    trial_id_of,
)


class Grid(GridSampler):
    """Gives the points in the order of Optuna's own, each once, but for those that were tried already.

    Those may have been enqueued, retried, or of a smaller grid before.
    """

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Choose the trial's point."""
        super().before_trial(study, trial)
        storage, trial_id = storage_of(study), trial_id_of(trial)
        chosen = storage.get_trial_system_attrs(trial_id)
        if FIXED_PARAMS in chosen:
            return
        others = storage.get_all_trials(study_id_of(study), deepcopy=False)
        known = tried(other for other in others if other.number != trial.number)
        points = points_of(self)
        if points[chosen[GRID_ID]] in known:
            left = (number for number, point in enumerate(points) if point not in known)
            storage.set_trial_system_attr(trial_id, GRID_ID, next(left, chosen[GRID_ID]))

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Do not stop the study."""


class BruteForce(BruteForceSampler):
    """Optuna's own, without stopping the study."""

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Do not stop the study."""
