"""What a search says besides its own lines, through `hydra.sweeper.hooks`: how long, how much, where the best is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from lorasweep.checks.measures import measured
from lorasweep.console.lines import echo
from lorasweep.errors import UserError
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger, paths, retention
from lorasweep.schema import Config
from lorasweep.schema.measures import VOTED
from lorasweep.studies.results import next_steps
from lorasweep.studies.trials import thrifty
from lorasweep.text.exceptions import first_line
from lorasweep.text.values import size

if TYPE_CHECKING:
    import optuna

    from lorasweep.search.ranking import RankedTrial


def opening(config: DictConfig) -> list[str]:
    """Return what a user should know as a search begins: how long each of its trainings is.

    Args:
        config: the search's.
    """
    steps, epochs = config.training.max_steps, config.training.epochs
    length = f"{steps} steps" if steps else f"{epochs} epochs"
    lines = [f"every trial trains {config.name} for {length}, and is stopped early if it falls behind"]
    if config.objective == VOTED:
        study = str(config.hydra.sweeper.study_name)
        votes = config.evaluation.votes
        waits = f"then waits for {votes} votes" if votes else "then counts the votes on it"
        ask = commands.vote(study, str(config.output_root))
        lines = [f"every trial trains {config.name} for {length}, {waits}: {ask}; none is stopped early"]
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
        return [f"disk: could not be estimated ({first_line(error)})"]
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


def closing(
    config: DictConfig, study: optuna.Study, rows: Sequence[RankedTrial], best: RankedTrial | None
) -> list[str]:
    """Let trackers know the best version, and return the last lines of a search: where it is, how to go on.

    Args:
        config: the search's.
        study: ended.
        rows: its leaderboard.
        best: its best row; None with several objectives,
            or if no trial has completed.
    """
    if best is None:
        front = [row for row in rows if row.pareto]
        return [f"best      {row.version} in {row.folder}" for row in front] or ["best      none: no trial completed"]
    folder = Path(best.folder) if best.folder else None
    if folder is not None and paths.record(folder).exists():
        from lorasweep.tracking.group import mark_best

        mark_best(folder, config.tracker.others, echo)
    from lorasweep.search.storage import redacted

    storage = config.hydra.sweeper.get("storage")
    kept = redacted(storage) if storage else None
    steps = next_steps(study, rows) | {"review": commands.study(study.study_name, str(config.output_root), kept)}
    if config.objective == VOTED:  # a trial's value is of the moment when it ended; later votes are not in it
        steps["votes"] = f"{commands.vote(study.study_name, str(config.output_root))} --results"
    return [f"{name.ljust(9)} {text}" for name, text in steps.items()]
