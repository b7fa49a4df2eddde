"""A whole search, read from top to bottom: settle, check, open, search, confirm, review.

This is what `hydra/sweeper=optuna` runs. It works in any Hydra app: a job may use `lorasweep.sweeping.trial`, or
just return its objective.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from lorasweep.errors import UserError
from lorasweep.interruption import leave, listening
from lorasweep.sweeping import finals, leaderboard, plots, ranking, results
from lorasweep.sweeping import study as studies
from lorasweep.sweeping.board import Board
from lorasweep.sweeping.enqueue import enqueue
from lorasweep.sweeping.identity import keep_out_of_logs
from lorasweep.sweeping.lanes import Lanes, open_lanes
from lorasweep.sweeping.search import Search
from lorasweep.sweeping.settings import Settings, config_value, function, hook, settle
from lorasweep.sweeping.space import Space, check_space, parse_space

CONVERGED_AFTER = 20
"""Finished trials before the terminator is asked; Optuna's own default."""


def sweep(context: HydraContext, task: TaskFunction, config: DictConfig, arguments: Sequence[str]) -> float | None:
    """Search as `config.hydra.sweeper` says; return the best value (None with several objectives, or without one).

    Args:
        context, task, config: what Hydra hands to a sweeper. arguments: the command line's overrides.

    Raises:
        CompactHydraException: what the user can put right, in words.
        SystemExit: 128 plus a signal's number (`lorasweep.interruption`); the same command goes on with the study.
    """
    try:
        with listening(leave):
            return _sweep(context, task, config, list(arguments))
    except UserError as error:
        raise CompactHydraException(error.render()) from error
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def _sweep(context: HydraContext, task: TaskFunction, config: DictConfig, arguments: list[str]) -> float | None:
    config, arguments, settings, space = _what_to_search(context, config, arguments)
    check_space(space, _composer(context, config), groups=_groups(context))
    folder = Path(settings.folder)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    name = settings.study_name or str(config.hydra.job.name)
    storage = studies.storage_of(settings)
    study = studies.open_study(settings, name, space, storage)
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
    keep_out_of_logs()
    lanes = open_lanes(launcher, settings.n_jobs)
    part = Part(settings, space, config, lanes)
    try:
        _search(part, study)
        _confirm(part, study, name, storage)
    except (KeyboardInterrupt, SystemExit):
        done = len(studies.counted(study.get_trials(deepcopy=False)))
        print(f"Study {name} was interrupted after {done} of {settings.n_trials} trials; the same command goes on.")
        raise
    finally:
        lanes.close()
    return _review(part, study, studies.load_finals(name, storage), folder)


@dataclass
class Part:
    """What every stage of a search needs."""

    settings: Settings
    space: Space
    config: DictConfig
    lanes: Lanes

    def suggest(self, study: optuna.Study) -> optuna.Trial:
        """Ask for a trial, with what the app's own search space adds to it."""
        trial = study.ask(dict(self.space.distributions))
        if self.settings.custom_search_space:
            function(self.settings.custom_search_space, "custom_search_space")(self.config, trial)
        return trial

    def overrides(self, trial: optuna.Trial) -> list[str]:
        """Return a trial's overrides, in the order in which they win over one another."""
        extra = trial.user_attrs.get("extra", [])
        return [
            *self.space.fixed,
            *self.space.overrides(trial.params),
            *finals.search_overrides(self.settings),
            *extra,
        ]


def _what_to_search(
    context: HydraContext, config: DictConfig, arguments: list[str]
) -> tuple[DictConfig, list[str], Settings, Space]:
    """Return config, overrides, settings and space; where the command line searches nothing, with its fallback."""
    settings = _settings(config)
    space = _space(settings, config, arguments)
    if space.distributions or settings.custom_search_space:
        return config, arguments, settings, space
    if settings.when_empty:
        arguments = [*arguments, *settings.when_empty]
        everything = [*OmegaConf.to_container(config.hydra.overrides.hydra), *arguments]  # type: ignore[misc]
        config = context.config_loader.load_configuration(
            config_name=config.hydra.job.config_name,
            overrides=[str(text) for text in everything],
            run_mode=RunMode.MULTIRUN,
        )
        settings = _settings(config)
        space = _space(settings, config, arguments)
    if not space.distributions and not settings.custom_search_space:
        raise UserError(
            "there is nothing to search: give parameters on the command line, such as "
            "'network.rank=choice(4,8,16)', or in hydra.sweeper.params"
        )
    return config, arguments, settings, space


def _settings(config: DictConfig) -> Settings:
    node = config.hydra.sweeper
    return settle({str(key): node[key] for key in node if not str(key).startswith("_")})


def _space(settings: Settings, config: DictConfig, arguments: Sequence[str]) -> Space:
    params = dict(settings.params or {})
    if settings.params_from:
        params = {**function(settings.params_from, "params_from")(config), **params}
    return parse_space(params, arguments)


def _composer(context: HydraContext, config: DictConfig) -> Callable[[Sequence[str]], DictConfig]:
    """Return a function that composes one job's config from its overrides."""

    def compose(overrides: Sequence[str]) -> DictConfig:
        return context.config_loader.load_configuration(
            config_name=config.hydra.job.config_name, overrides=list(overrides), run_mode=RunMode.RUN
        )

    return compose


def _groups(context: HydraContext, parent: str = "") -> list[str]:
    """Return the app's config groups, those within groups too."""
    found = [f"{parent}/{name}".lstrip("/") for name in context.config_loader.list_groups(parent)]
    return [group for name in found for group in (name, *_groups(context, name)) if name != "hydra"]


def _search(part: Part, study: optuna.Study) -> None:
    """Run trials until `n_trials` have ended, all earlier runs of this study included."""
    settings = part.settings
    remarks = enqueue(study, settings, part.config, part.space)
    title = f"study {study.study_name} in {studies.where(settings)}"
    total = min(settings.n_trials, part.space.size() or settings.n_trials) if _once(study) else settings.n_trials
    with Board(study, total, part.lanes.capacity, title) as board:
        opening = hook(settings, "opening")
        for line in [*(opening(part.config) if opening is not None else []), *remarks]:
            board.say(line)
        if len(study.directions) > 1:
            board.say("several objectives: trials are not pruned (Optuna's pruners compare a single value)")

        def ask() -> optuna.Trial | None:
            return next_trial(part, search)

        search = Search(study, settings.url, settings, part.lanes, board, ask, part.overrides, prunes=True)
        search.run()


def next_trial(part: Part, search: Search) -> optuna.Trial | None:
    """Ask for the next trial of the search, unless the budget is used up or the study has converged."""
    study, settings = search.study, part.settings
    trials = study.get_trials(deepcopy=False)
    running = sum(trial.state is TrialState.RUNNING for trial in trials)
    if len(studies.counted(trials)) + running >= settings.n_trials:
        return None
    waiting = any(trial.state is TrialState.WAITING for trial in trials)
    if not waiting and _exhausted(part, study, trials):
        search.stop("every combination has been tried")
        return None
    if settings.terminator and _converged(study):
        search.stop("the study has converged: going on is expected to gain less than what counts as a tie")
        return None
    return part.suggest(study)


def _once(study: optuna.Study) -> bool:
    """Return whether the study's sampler tries every combination once."""
    return isinstance(study.sampler, optuna.samplers.GridSampler | optuna.samplers.BruteForceSampler)


def _exhausted(part: Part, study: optuna.Study, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
    """Return whether a sampler that tries every combination once has begun them all."""
    size = part.space.size()
    if not _once(study) or size is None or part.settings.custom_search_space:
        return False
    failed = {trial.number for trial in trials if trial.state is TrialState.FAIL}
    tried = {tuple(sorted(trial.params.items())) for trial in trials if trial.number not in failed}
    given_up = {tuple(sorted(trial.params.items())) for trial in studies.failures(trials)}
    return len(tried | given_up) >= size


def _converged(study: optuna.Study) -> bool:
    """Return whether Optuna's terminator expects less from going on than what the leaderboard counts as a tie."""
    from optuna.terminator import EMMREvaluator, StaticErrorEvaluator, Terminator

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(study.directions) > 1 or len(complete) < CONVERGED_AFTER:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        tie = StaticErrorEvaluator(ranking.TIE * abs(study.best_value))
        return Terminator(EMMREvaluator(), tie, min_n_trials=CONVERGED_AFTER).should_terminate(study)


def _confirm(part: Part, study: optuna.Study, name: str, storage: optuna.storages.BaseStorage) -> None:
    """Train the best configurations again, under further seeds or on further folds, and refit the winner."""
    settings = part.settings
    if settings.repeats == 1 and settings.folds is None:
        return
    again = studies.open_finals(settings, name, storage)
    again.set_user_attr("tie_breakers", settings.tie_breakers)
    if settings.folds is None:
        seed = int(config_value(part.config, settings.seed_key or "") or 0)
        _run_extras(part, study, again, finals.repeats(_ranking(study, None), settings, seed), "repeats")
        return
    _run_extras(part, study, again, finals.folds(_ranking(study, None), settings), "folds")
    ranked = _ranking(study, again)
    if ranked:
        _run_extras(part, study, again, finals.refit(ranked[0], settings), "refit")


def _run_extras(
    part: Part, study: optuna.Study, again: optuna.Study, extras: Sequence[finals.Extra], what: str
) -> None:
    finals.enqueue(again, study, extras)

    def next_extra() -> optuna.Trial | None:
        waiting = again.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return part.suggest(again) if waiting else None

    with Board(again, len(again.trials), part.lanes.capacity, f"{what} of study {study.study_name}") as board:
        Search(
            again, part.settings.url, part.settings, part.lanes, board, next_extra, part.overrides, prunes=False
        ).run()


def _ranking(study: optuna.Study, again: optuna.Study | None) -> list[int]:
    """Return the numbers of the complete trials, best first."""
    return [row.number for row in ranking.rows(study, again) if row.state == "complete"]


def _review(part: Part, study: optuna.Study, again: optuna.Study | None, folder: Path) -> float | None:
    """Write results and plots, let the app add its own, print what came of it all."""
    rows = ranking.rows(study, again)
    results.write_results(study, rows, folder)
    drawn = plots.draw(study, folder / "plots") if part.settings.plots else None
    best = ranking.best(rows)
    leaderboard.show(study, rows)
    print(f"\nresults   {folder / 'optimization_results.yaml'}")
    if drawn:
        print(f"plots     {folder / 'plots'}")
    closing = hook(part.settings, "closing")
    if closing is not None:
        for line in closing(part.config, study, rows, best):
            print(line)
    elif best is not None:
        print(f"best      {' '.join(part.space.overrides(best.params))}")
    return best.values[0] if best is not None and len(study.directions) == 1 else None
