"""A whole search, read from top to bottom: plan, open, search, confirm, review.

This is what `hydra/sweeper=optuna` runs. It works in any Hydra app: a job may use `lorasweep.search.trial`, or
just return its objective.
"""

from __future__ import annotations

import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from lorasweep.errors import UserError, exit_with_message, one_line
from lorasweep.interruption import exit_now, listening
from lorasweep.lanes.opening import open_lanes
from lorasweep.lanes.tracebacks import tracing
from lorasweep.search import finals, location, plan, ranking
from lorasweep.search import study as studies
from lorasweep.search.budget import spent, tried
from lorasweep.search.context import SearchContext
from lorasweep.search.enqueue import enqueue
from lorasweep.search.identity import keep_out_of_logs
from lorasweep.search.loop import Search
from lorasweep.search.outages import is_outage
from lorasweep.search.report import SearchReporter
from lorasweep.search.retrying import revive
from lorasweep.search.settings import CONVERGED_AFTER, config_value, hook
from lorasweep.search.storage import open_storage, redacted


def sweep(
    context: HydraContext, task: TaskFunction, config: DictConfig, arguments: Sequence[str], report: SearchReporter
) -> float | None:
    """Search as `config.hydra.sweeper` says; return the best value (None with several objectives, or without one).

    Args:
        context: Hydra's loader and callbacks, as it hands them to a sweeper.
        task: what hydra.main decorated.
        config: the multirun's.
        arguments: the command line's overrides.
        report: what shows the search while it runs, and what came of it.

    Raises:
        SystemExit: 2 where the user has something to put right, which has been said; 128 plus a signal's number
            (`lorasweep.interruption`) where the search was interrupted: the same command goes on with the study.
    """
    try:
        with exit_with_message(), listening(exit_now):
            try:
                return _sweep(context, task, config, list(arguments), report)
            except Exception as error:
                if not is_outage(error):
                    raise
                raise UserError(
                    f"{one_line(error)}: check the server, or the disk; then the same command goes on",
                    title="The study's storage does not answer any more",
                ) from error
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def _sweep(
    context: HydraContext, task: TaskFunction, config: DictConfig, arguments: list[str], report: SearchReporter
) -> float | None:
    asked = plan.make_plan(context, config, arguments)
    settings, space, config = asked.settings, asked.space, asked.config

    def goes_on(url: str, name: str) -> bool:
        return studies.left_unfinished(url, name, settings, space)

    where = location.locate(settings, config, goes_on)
    storage = open_storage(where.url)
    study = studies.open_study(settings, where, space, storage)
    OmegaConf.save(config, where.folder / "multirun.yaml")
    keep_out_of_logs()
    with location.password_in_environment(where):
        launcher = Plugins.instance().instantiate_launcher(context, tracing(task), config)
        lanes = open_lanes(launcher, settings.n_jobs)
        part = SearchContext(asked, where, storage, lanes, report)
        try:
            in_time = _search(part, study)
            _confirm(part, study)
        except (KeyboardInterrupt, SystemExit):
            done = len(spent(study.get_trials(deepcopy=False)))
            print(f"Study {where.name} was interrupted after {done} of {settings.n_trials} trials; "
                  f"the same command goes on:\n  {_command()}")  # fmt: skip
            raise
        finally:
            lanes.close()
    best = _review(part, study)
    if in_time:
        studies.close(study, settings)
    return best


def _search(part: SearchContext, study: optuna.Study) -> bool:
    """Run trials until `n_trials` have ended, all earlier runs of this study included; return whether time sufficed."""
    settings, plan_ = part.settings, part.plan
    again = revive(study, settings)
    remarks = [*plan_.remarks, *enqueue(study, plan_.first, part.space), *([again] if again else [])]
    if len(spent(study.get_trials(deepcopy=False))) >= settings.n_trials:
        remarks.append(f"all {settings.n_trials} trials have ended: give more hydra.sweeper.n_trials to go on")
    title = f"study {study.study_name} in {part.location.redacted_url}"
    total = min(settings.n_trials, part.space.size() or settings.n_trials) if _once(study) else settings.n_trials
    with part.report.board(study, total, part.lanes.capacity, title) as board:
        opening = hook(settings, "opening")
        for line in [*(opening(plan_.config) if opening is not None else []), *remarks]:
            board.print_line(line)

        def ask() -> optuna.Trial | None:
            return next_trial(part, search)

        search = Search(
            study,
            part.location,
            settings,
            part.lanes,
            board,
            ask,
            part.overrides,
            budget=settings.n_trials,
            prunes=True,
        )
        search.run()
    return not search.timed_out


def next_trial(part: SearchContext, search: Search) -> optuna.Trial | None:
    """Ask for the next trial of the search, unless the budget is used up or the study has converged."""
    study, settings = search.study, part.settings
    trials = study.get_trials(deepcopy=False)
    running = sum(trial.state is TrialState.RUNNING for trial in trials)
    if len(spent(trials)) + running >= settings.n_trials:
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


def _exhausted(part: SearchContext, study: optuna.Study, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
    """Return whether a sampler that tries every combination once has begun them all."""
    size = part.space.size()
    if not _once(study) or size is None or part.settings.custom_search_space:
        return False
    return len(tried(trials)) >= size


def _converged(study: optuna.Study) -> bool:
    """Return whether Optuna's terminator expects less from going on than what the leaderboard counts as a tie."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is to go with Optuna 6
        from optuna.terminator import EMMREvaluator, StaticErrorEvaluator, Terminator

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < CONVERGED_AFTER:
        return False
    with warnings.catch_warnings():
        for category in (ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        tie = StaticErrorEvaluator(ranking.TIE * abs(study.best_value))
        return Terminator(EMMREvaluator(), tie, min_n_trials=CONVERGED_AFTER).should_terminate(study)


def _confirm(part: SearchContext, study: optuna.Study) -> None:
    """Train the best configurations again, under further seeds or on further folds, and refit the winner."""
    settings = part.settings
    if settings.repeats == 1 and settings.folds is None:
        return
    again = studies.open_finals(settings, part.location.name, part.storage)
    again.set_user_attr("tie_breakers", settings.tie_breakers)
    again.set_user_attr("folder", str(part.location.folder))
    if settings.folds is None:
        seed = int(config_value(part.plan.config, settings.seed_key or "") or 0)
        _run_extras(part, study, again, finals.repeats(_ranking(study, None), settings, seed), "repeats")
        return
    _run_extras(part, study, again, finals.folds(_ranking(study, None), settings), "folds")
    ranked = _ranking(study, again)
    if ranked:
        _run_extras(part, study, again, finals.refit(ranked[0], settings), "refit")


def _run_extras(
    part: SearchContext, study: optuna.Study, again: optuna.Study, extras: Sequence[finals.Extra], what: str
) -> None:
    remark = revive(again, part.settings)
    finals.enqueue_extras(again, study, extras)

    def next_extra() -> optuna.Trial | None:
        waiting = again.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return part.suggest(again) if waiting else None

    total = len(again.trials)
    title = f"{what} of study {study.study_name}"
    with part.report.board(again, total, part.lanes.capacity, title) as board:
        if remark:
            board.print_line(remark)
        Search(
            again,
            part.location,
            part.settings,
            part.lanes,
            board,
            next_extra,
            part.overrides,
            budget=total,
            prunes=False,
        ).run()


def _ranking(study: optuna.Study, again: optuna.Study | None) -> list[int]:
    """Return the numbers of the complete trials, best first."""
    return [row.number for row in ranking.rows(study, again) if row.state == "complete"]


def _review(part: SearchContext, study: optuna.Study) -> float | None:
    """Show and write what came of it all, and let the app add its own."""
    rows = ranking.rows(study, studies.load_finals(part.location.name, part.storage))
    best = ranking.best(rows)
    part.report.results(study, rows, part.location.folder, plots=part.settings.plots)
    closing = hook(part.settings, "closing")
    if closing is not None:
        for line in closing(part.plan.config, study, rows, best):
            print(line)
    elif best is not None:
        print(f"best      {' '.join(part.space.overrides(best.params))}")
    return best.values[0] if best is not None and len(study.directions) == 1 else None


def _command() -> str:
    """Return the command that started this process, with the passwords in it hidden."""
    program, *arguments = sys.orig_argv
    return shlex.join([Path(program).name, *map(redacted, arguments)])
