"""How a version that is resumed goes on: in its own folder, or as a new version that begins from it.

A version that has ended, complete or pruned, stays as it is for good: its weights, pictures and figures are what a
study, a table or a person has judged. It goes on as a new version, and so does one whose course is to be another one
from here on, since its epochs would no longer be those of its files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lorasweep.data.dataset import Dataset
from lorasweep.errors import UserError
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger, lock, paths, state
from lorasweep.runs.record import Record
from lorasweep.schema import Config, TrainingConfig, schema_keys
from lorasweep.training.start.subject import Differences, Subject, differences


@dataclass(frozen=True)
class Resumption:
    """What is resumed, and how.

    Attributes:
        record: its record.
        differences: between what it was begun with and what is asked for now; nothing that forbids to go on.
        in_place: whether it goes on in its own folder; else a new version begins from it.
        planned: the optimizer steps that it was to take.
    """

    record: Record
    differences: Differences
    in_place: bool
    planned: int

    @property
    def folder(self) -> Path:
        """Return its folder."""
        return self.record.folder


def resumption(config: Config, subject: Subject, dataset: Dataset) -> Resumption:
    """Return how the version that `config.resume` names goes on.

    Args:
        config: its own one, with what was asked for besides.
        subject: what is asked for now.
        dataset: its images.

    Raises:
        UserError: there is no such version, it is in training or complete, its data, base or settings are others now,
            or nothing is left to begin from.
    """
    assert config.resume is not None
    folder = ledger.find(config.output_root, config.name, config.resume)
    lock.check_free(folder)
    record = Record.read(folder)
    found = differences(Subject.saved(record), subject)
    if not found.longer:
        ledger.check_unfinished(record, config.output_root)
    if found.others:
        raise _different_settings(config, record, found)
    planned = dataset.plan_for(_lengths(config.training, record))
    same_course = not found.longer or dataset.plan.trains_as(planned)
    if same_course:
        ledger.check_unfinished(record, config.output_root)
    in_place = same_course and record.status != "pruned"
    if not in_place:
        _check_beginning(config, record, dataset.plan.total_steps)
    return Resumption(record, found, in_place, planned.total_steps)


def _lengths(training: TrainingConfig, record: Record) -> TrainingConfig:
    """Return training settings with the length that a version was begun with."""
    epochs, max_steps = (record.setting(schema_keys()[key]) for key in ledger.LENGTHS)
    return replace(training, epochs=epochs, max_steps=max_steps)


def _check_beginning(config: Config, record: Record, total_steps: int) -> None:
    """Refuse to begin a new version where there is no state to begin from, or nothing left to do."""
    last = state.latest(record.folder)
    if last is None:
        weights = paths.selected(record.folder, record.stem)
        length = _length(config)
        ways = {"start a new version": commands.train(commands.changed(record.overrides, length))}
        if weights.exists() and config.network.type != "full":
            wishes = [f"network.start_from={weights}", *length]
            ways["begin from its weights"] = commands.train(commands.changed(record.overrides, wishes))
        raise UserError(f"{record.folder} has no saved state that a new version could begin from", ways=ways)
    if total_steps <= last[1]:
        raise UserError(
            f"{' '.join(_length(config))}: {total_steps} steps in all, and v{record.version} has done {last[1]}; "
            "give more"
        )


def _length(config: Config) -> list[str]:
    steps = config.training.max_steps
    return [f"training.epochs={config.training.epochs}" if steps is None else f"training.max_steps={steps}"]


def _different_settings(config: Config, record: Record, found: Differences) -> UserError:
    name, number, length = record.name, record.version, _length(config) if found.longer else []
    again = commands.resume(name, record.recipe, number, config.output_root, *length)
    anew = commands.train(commands.changed(record.overrides, length))
    return UserError(
        found.others,
        title=f"{name} v{number} was begun with something else and cannot go on like this",
        ways={"go on once that is put back": again, "start a new version": anew},
    )
