"""A trial: the version that it trains, and what the study is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep.console.lines import silenced
from lorasweep.families.opened import OpenedBase
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger, paths, retention
from lorasweep.runs.record import Record
from lorasweep.runs.record import TrialRecord as TrialMark
from lorasweep.schema import Config
from lorasweep.schema.goals import parse_goal
from lorasweep.schema.measures import VOTED
from lorasweep.studies.voting import study_poll, voted_value

if TYPE_CHECKING:
    from lorasweep.search.job import Trial
    from lorasweep.training.job import Outcome


def train_trial(
    trial: Trial, config: Config, line: Sequence[str], choices: Mapping[str, str], opened: OpenedBase
) -> float | None:
    """Train the version that a trial asks for; tell the trial all there is to tell; return the objective.

    Args:
        trial: of the study.
        config: checked.
        line: the overrides.
        choices: config group -> choice.
        opened: gives the base, and keeps it for the next trial of this process.

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
        return trial.report(step, parse_goal(config.objective, config.allow_code).value(metrics))

    before = _earlier(trial, root, name)
    try:
        # An attempt that had trained, and was interrupted as it waited for votes, goes on waiting.
        outcome = _trained(before) if config.objective == VOTED else None
        if outcome is None:
            job = Job(thrifty(config, line), list(line), dict(choices), mark | {"params": trial.params}, report, before)
            with silenced():
                outcome = run_cohort([job], opened)[0]
    except BaseException:  # before its first step, or interrupted: its folder may be there
        introduce()
        raise
    value = outcome.value
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
        if config.objective == VOTED:
            value = voted_value(study_poll(root, trial.study_name), outcome.folder, config.evaluation.votes)
        further = [parse_goal(text, config.allow_code).value(outcome.metrics) for text in config.further_objectives]
        trial.finish([value, *further])
    # Only now, as the study knows the result: a trial that dies before is gone on with from its state.
    if not _asked(line, "training.keep_state"):
        retention.drop_beaten_states(root, name, trial.study_name)
    return None if outcome.status == "pruned" else value


def _trained(folder: Path | None) -> Outcome | None:
    """Return how the version of an earlier attempt ended, where it was complete."""
    from lorasweep.training.job import Outcome

    if folder is None or not paths.record(folder).exists() or (record := Record.read(folder)).status != "complete":
        return None
    return Outcome(
        folder=folder,
        status=record.status,
        value=record.objective.value,
        error=None,
        reason=record.reason,
        number=record.version,
        epoch=record.selected_epoch,
        steps=record.epochs[-1].step if record.epochs else 0,
        metrics=dict(record.metrics.selected or {}),
    )


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
