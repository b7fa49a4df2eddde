"""Optuna's grid sampler, for studies that have tried points of the grid in other ways: enqueued, retried, or of a
smaller grid before."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.samplers import GridSampler
from optuna.trial import FrozenTrial

from lorasweep.search.budget import tried

ID, FIXED = "grid_id", "fixed_params"
"""Where Optuna keeps which point a trial is, and what a waiting trial is to be."""


class Grid(GridSampler):
    """Gives the points in the order of Optuna's own, each once, but for those that were tried already."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Choose the trial's point."""
        super().before_trial(study, trial)
        storage = study._storage
        chosen = storage.get_trial_system_attrs(trial._trial_id)
        if FIXED in chosen:
            return
        others = storage.get_all_trials(study._study_id, deepcopy=False)
        known = tried(other for other in others if other.number != trial.number)
        if self._point(chosen[ID]) in known:
            left = (number for number in range(len(self._all_grids)) if self._point(number) not in known)
            storage.set_trial_system_attr(trial._trial_id, ID, next(left, chosen[ID]))

    def _point(self, number: int) -> tuple[tuple[str, Any], ...]:
        return tuple(zip(self._param_names, self._all_grids[number], strict=True))
