"""What every stage of a search works with: the plan, the place, and how a trial is asked for and becomes overrides."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage

from lorasweep.errors import UserError, one_line
from lorasweep.lanes.work import Lanes
from lorasweep.search import finals, location
from lorasweep.search.location import StudyLocation
from lorasweep.search.optuna_internals import storage_of, suggest, trial_id_of
from lorasweep.search.plan import SearchPlan
from lorasweep.search.report import SearchReporter
from lorasweep.search.retrying import mark_dead
from lorasweep.search.settings import Settings, function
from lorasweep.search.space import Space


@dataclass(frozen=True)
class SearchContext:
    """What every stage of a search needs.

    Attributes:
        plan: what is to be done.
        location: where the study is.
        storage: opened.
        lanes: where trials run.
        report: what the user sees of it.
    """

    plan: SearchPlan
    location: StudyLocation
    storage: BaseStorage
    lanes: Lanes
    report: SearchReporter

    @property
    def settings(self) -> Settings:
        """The sweeper's."""
        return self.plan.settings

    @property
    def space(self) -> Space:
        """What is searched."""
        return self.plan.space

    def suggest(self, study: optuna.Study) -> optuna.Trial:
        """Ask for a trial, with what the app's own search space adds to it.

        Raises:
            UserError: the app's function, or the sampler, has failed; the trial waits to be asked for again.
        """
        trial = study.ask()
        try:
            for key, distribution in self.space.distributions.items():
                suggest(trial, key, distribution)
            if self.settings.custom_search_space:
                function(self.settings.custom_search_space, "custom_search_space")(self.plan.config, trial)
        except BaseException as error:
            frozen = storage_of(study).get_trial(trial_id_of(trial))
            mark_dead(study, frozen, "interrupted as it was asked for", self.settings)
            if not isinstance(error, Exception) or isinstance(error, UserError):
                raise
            who = self.settings.custom_search_space or self.settings.sampler.get("_target_")
            raise UserError(
                f"{who} cannot suggest a trial: {one_line(error)}. Once that is put right, the same command goes on",
                title=f"Study {study.study_name} stopped",
            ) from error
        return trial

    def overrides(self, trial: optuna.Trial) -> list[str]:
        """Return a trial's overrides, in the order in which they win over one another."""
        extra = trial.user_attrs.get("extra", [])
        return [
            *self.space.fixed,
            *self.space.overrides(trial.params),
            *finals.search_overrides(self.settings),
            *extra,
            *(location.in_folder(self.plan.config, "finals") if "of" in trial.user_attrs else []),
        ]
