"""Versions as trials of a study: what the trainer tells the search, and what the user reads when it is over.

The search (`lorasweep.search`) knows nothing of training, the training nothing of searching; here they meet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from lorasweep import command_lines as commands
from lorasweep.checks.measures import measured
from lorasweep.console import silenced
from lorasweep.errors import UserError
from lorasweep.runs import ledger, paths, retention
from lorasweep.runs.record import Record
from lorasweep.runs.record import Trial as TrialMark
from lorasweep.schema import Config
from lorasweep.schema.measures import MARGINS, MEASURES, verdict
from lorasweep.text.values import size

if TYPE_CHECKING:
    import optuna

    from lorasweep.review.leaderboard import Row
    from lorasweep.search.job import Trial


SHOWN = 5  # trials that are named as good as the best


def train_trial(trial: Trial, config: Config, line: Sequence[str], choices: Mapping[str, str]) -> float | None:
    """Train the version that a trial asks for; tell the trial all there is to tell; return the objective.

    Args:
        trial: of the study. config: checked. line: the overrides. choices: config group -> choice.

    Raises:
        UserError: as `lorasweep.training.run`; the trial has then failed, with the reason.
        SystemExit: interrupted, with the state saved.
    """
    from lorasweep.training import Job, run_cohort

    mark = {"study": trial.study_name, "number": trial.number}
    root, name = config.output_root, config.name
    known = False

    def introduce() -> None:
        """Tell the trial which version it is, once the version has a folder."""
        nonlocal known
        folder = None if known else folder_of(mark, root, name)
        if folder is not None:
            known = True
            trial.note(version=f"{name} {folder.name}", folder=str(folder))

    def report(step: int, metrics: dict[str, float]) -> str | None:
        introduce()
        return trial.report(step, metrics.get(config.objective))

    before = _earlier(trial, root, name)
    job = Job(thrifty(config, line), list(line), dict(choices), mark | {"params": trial.params}, report, before)
    try:
        with silenced():
            outcome = run_cohort([job])[0]
    except BaseException:  # before its first step, or interrupted: its folder may be there
        introduce()
        raise
    trial.note(
        version=f"{name} v{outcome.number}",
        folder=str(outcome.folder),
        metrics={key: value for key, value in outcome.metrics.items() if value == value} | {"steps": outcome.steps},
        command=commands.train(line),
    )
    trial.attach(paths.grid(outcome.folder))
    if outcome.error is not None:
        raise outcome.error
    if outcome.status == "pruned":
        trial.prune(outcome.reason or "pruned")
    else:
        trial.finish([outcome.value, *(outcome.metrics.get(key) for key in config.further_objectives)])
    # Only now, as the study knows the result: a trial that dies before is gone on with from its state.
    if not _asked(line, "training.keep_state"):
        retention.drop_beaten_states(root, name, trial.study_name)
    return None if outcome.status == "pruned" else outcome.value


def thrifty(config: Config, line: Sequence[str]) -> Config:
    """Return a trial's config, with the weights files of the last epoch and the best only, unless others are asked for.

    Args:
        config: of the trial.
        line: its overrides.
    """
    if config.training.keep_epochs is not None or _asked(line, "training.keep_epochs"):
        return config
    return replace(config, training=replace(config.training, keep_epochs=1))


def _asked(line: Sequence[str], key: str) -> bool:
    return any(commands.key_of(text) == key for text in line)


def folder_of(mark: Mapping[str, Any], output_root: str, name: str) -> Path | None:
    """Return the newest version folder whose record belongs to a trial ({"study", "number"}); None without one."""
    found = [
        version.folder for version in ledger.versions(output_root, name) if version.record.trial == TrialMark(**mark)
    ]
    return found[-1] if found else None


def opening(config: DictConfig) -> list[str]:
    """Return what a user should know as a search begins: how long each of its trainings is.

    Args:
        config: the search's.
    """
    steps, epochs = config.training.max_steps, config.training.epochs
    length = f"{steps} steps" if steps else f"{epochs} epochs"
    lines = [f"every trial trains {config.name} for {length}, and is stopped early if it falls behind"]
    if config.hydra.runtime.choices.get("sweeps") == "default":
        lines[0] += " (a short schedule, for a first look; sweeps=rank_lr keeps the recipe's own)"
    return lines + _disk(config)


def metrics(config: DictConfig) -> list[str]:
    """Return the names of what every trial of a search measures.

    Args:
        config: the search's.
    """
    return [*measured(_as_config(config)), "steps"]


def _disk(config: DictConfig) -> list[str]:
    """Return in a line what a search will take of the disk; [] where its base is not on this machine yet.

    Raises:
        UserError: it does not fit.
    """
    from lorasweep.training import disk

    try:
        trial = disk.of_trial(_trial_config(config))
    except Exception as error:  # a forecast must not keep a search from starting
        return [f"disk: could not be estimated ({type(error).__name__}: {error})"]
    if trial is None:
        return []
    root, study = Path(str(config.output_root)), str(config.hydra.sweeper.study_name)
    trials = [v for v in ledger.versions(root) if v.record.study == study]
    left = int(config.hydra.sweeper.n_trials) - sum(v.record.status in retention.ENDED for v in trials)
    # What has ended keeps its files, the best one its state; one that runs takes a little more.
    total = max(0, left) * (trial.files * trial.weights + trial.folder) + trial.state + trial.peak
    free = disk.free_at(root)
    words = f"{max(0, left)} trials of {trial.files} weights files of {size(trial.weights)}, the best one's state"
    if total > free:
        raise UserError(
            f"the search takes up to {size(total)} ({words}); the disk of {root} has {size(free)} free: make room with "
            "lorasweep clean, write elsewhere with output_root=FOLDER, or give fewer hydra.sweeper.n_trials"
        )
    return [f"disk: up to {size(total)} ({words}); {size(free)} free"]


def _trial_config(config: DictConfig) -> Config:
    """Return the config of the largest trial of a search."""
    found = thrifty(_as_config(config), [str(text) for text in config.hydra.overrides.task])
    rank = _largest(config, "network.rank")
    return found if rank is None else replace(found, network=replace(found.network, rank=rank))


def _as_config(config: DictConfig) -> Config:
    """Return the config that a search's trials have but for what is searched."""
    ours = OmegaConf.masked_copy(config, [entry.name for entry in fields(Config)])
    found = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), ours))
    assert isinstance(found, Config)
    return found


def _largest(config: DictConfig, key: str) -> int | None:
    """Return the largest whole number that a search gives a key; None where it does not search it."""
    from lorasweep.search.space import parse_space
    from lorasweep.search.stored import dotted

    params = OmegaConf.to_container(config.hydra.sweeper.params) if config.hydra.sweeper.get("params") else {}
    assert isinstance(params, dict)
    task = [str(text) for text in config.hydra.overrides.task]
    found = parse_space(dotted(params), task).distributions.get(key)
    values = [getattr(found, "high", None), *getattr(found, "choices", ())]
    return max((value for value in values if isinstance(value, int)), default=None)


def closing(config: DictConfig, study: optuna.Study, rows: Sequence[Row], best: Row | None) -> list[str]:
    """Move W&B's `best` to the best version, and return the last lines of a search: where it is, how to go on.

    Args:
        config: the search's. study: ended. rows: its leaderboard. best: its best row; None with several objectives,
            or if no trial has completed.
    """
    if best is None:
        front = [row for row in rows if row.pareto]
        return [f"best      {row.version} in {row.folder}" for row in front] or ["best      none: no trial completed"]
    folder = Path(best.folder) if best.folder else None
    if folder is not None and paths.record(folder).exists():
        from lorasweep.tracking.wandb import crown

        crown(folder)
    from lorasweep.search.storage import shown

    storage = config.hydra.sweeper.get("storage")
    kept = shown(storage) if storage else None
    steps = next_steps(study, rows) | {"review": commands.study(study.study_name, str(config.output_root), kept)}
    return [f"{name.ljust(9)} {text}" for name, text in steps.items()]


def next_steps(study: optuna.Study, rows: Sequence[Row]) -> dict[str, str]:
    """Return which version of a study is best, and the commands that train it again and for longer, by name.

    Args:
        study: whose.
        rows: its leaderboard.
    """
    from lorasweep.review import leaderboard

    steps = leaderboard.next_steps(rows)
    if equals := as_good(study, rows):
        steps = {"best": steps.pop("best"), "as good": equals, **steps}
    best = leaderboard.best(rows)
    folder = Path(best.folder) if best is not None and best.folder else None
    if folder is not None and paths.states(folder):  # else there is nothing to go on from, here at least
        steps["continue"] = ledger.longer(Record.read(folder), str(folder.parents[1]))
    return steps


def as_good(study: optuna.Study, rows: Sequence[Row]) -> str:
    """Return which trials are as good as the best within the noise, and what that means; "" without any.

    Trials stand beside the best where they were trained as often: single trainings within the measure's margin, means
    of several within twice the standard error of their difference.

    Args:
        study: whose.
        rows: its leaderboard.
    """
    from lorasweep.review import leaderboard

    best, name = leaderboard.best(rows), leaderboard.value_names(study)[0]
    if best is None or name not in MEASURES:
        return ""
    equals = [row for row in rows if row is not best and row.n == best.n and row.feasible and _near(name, row, best)]
    if not equals:
        return ""
    names = [row.version or f"trial {row.number}" for row in equals]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    single = f"{MARGINS}; hydra.sweeper.repeats=3 trains the best again to tell them apart"
    noise = single if best.n == 1 else f"within twice the standard error of means of {best.n} trainings"
    return f"{', '.join(names[:SHOWN])}{more}: {noise}"


def _near(name: str, row: Row, best: Row) -> bool:
    if row.n == 1:
        return verdict(name, row.values[0], best.values[0]) == "same"
    return abs(row.values[0] - best.values[0]) <= 2 * math.hypot(row.spread[0], best.spread[0]) / math.sqrt(row.n)


def _earlier(trial: Trial, root: str, name: str) -> Path | None:
    """Return the version folder of the latest attempt at a trial that had one; None for a first attempt.

    An attempt may have been killed before it had a folder, or before it could tell of it.
    """
    for attempt in trial.attempts:
        noted = attempt.user_attrs.get("folder")
        mark = {"study": trial.study_name, "number": attempt.number}
        folder = Path(noted) if noted else folder_of(mark, root, name)
        if folder is not None and folder.is_dir():
            return folder
    return None
