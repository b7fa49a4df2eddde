"""The config of a version that is resumed: the one that it was begun with, and what a command line may change of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lorasweep.compose import overrides
from lorasweep.errors import Problem, UserError
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger, paths
from lorasweep.runs.record import Record
from lorasweep.schema import PERMISSIONS, Config, schema_keys
from lorasweep.schema.retired import config_of_today, line_of_today
from lorasweep.text.values import written

_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError)


def resumed(config: DictConfig, line: Sequence[str], config_name: str) -> DictConfig:
    """Return the saved config of the version that `config.resume` names, with the changes that it may have.

    Another `training.epochs` takes the place of the version's `training.max_steps`, which would win over it.

    Args:
        config: what Hydra composed of the command line.
        line: its overrides.
        config_name: the root config's name.

    Raises:
        UserError: there is no such version, its config cannot be read, or the command line asks for what a resumed
            version cannot change.
    """
    if not re.fullmatch(r"v[1-9]\d*|latest", config.resume):
        raise UserError(f"resume={config.resume}: expected a version such as v6, or latest")
    if OmegaConf.is_missing(config, "name"):
        raise UserError(f"resume={config.resume}: whose version? Give its lora=... or name=... too")
    folder = ledger.find(config.output_root, config.name, config.resume)
    beginning = _Beginning(folder, line, config_name)
    saved, changes = beginning.config, beginning.changes(line)
    longer = any(schema_keys()[key].resume == "longer" for key in changes)
    if refused := [key for key in changes if schema_keys()[key].resume == "refused"]:
        given = f"resume={config.resume} keeps {folder.name}'s"
        values = {key: (written(_value(saved, key)), written(changes[key])) for key in refused}
        problems = [Problem(f"{given} {key}={own}; you gave {now}", key) for key, (own, now) in values.items()]
        kept = [text for text in line if not beginning.changes([text]).keys() & set(refused)]
        over = beginning.record.status == "complete" and not longer
        go_on = ledger.longer(beginning.record, config.output_root) if over else commands.train(kept)
        anew = commands.train(commands.changed(beginning.line, line))
        raise UserError(problems, ways={f"go on with {folder.name} as it is": go_on, "start a new version": anew})
    if not longer:
        ledger.check_unfinished(beginning.record, config.output_root)
    for key, value in changes.items():
        OmegaConf.update(saved, key, value)
    if "training.epochs" in changes and "training.max_steps" not in changes:
        saved.training.max_steps = None
    saved.resume, saved.output_root = folder.name, config.output_root
    for key in PERMISSIONS:  # they are given anew each time
        saved[key] = config[key]
    return saved


class _Beginning:
    """How a version was begun, to tell what a command line asks for beyond that.

    Args:
        folder: the version folder.
        line: the overrides of the command line that resumes it.
        config_name: the root config's name.

    Attributes:
        record: its record.
        config: its config.
        line: the overrides that it was begun with; its recipe alone where they can no longer be composed.

    Raises:
        UserError: its config cannot be read.
    """

    def __init__(self, folder: Path, line: Sequence[str], config_name: str) -> None:
        self.record = Record.read(folder)
        self.config, self._config_name = _saved(folder), config_name
        try:
            self.line = line_of_today([str(text) for text in OmegaConf.load(paths.overrides(folder))])
            self._composed = hydra.compose(config_name, self.line)
        except _ERRORS:
            self.line = [text for text in line if commands.key_of(text) == "lora"]
            self._composed = hydra.compose(config_name, self.line)

    def changes(self, line: Sequence[str]) -> dict[str, Any]:
        """Return by key what a command line asks for that the version does not have, by itself or by a group's choice.

        What the version's own overrides come to today, with a recipe that was edited since, is nobody's wish.
        """
        wishes = commands.wishes(line)
        if not wishes:
            return {}
        try:
            now = hydra.compose(self._config_name, commands.changed(self.line, wishes))
        except _ERRORS as error:
            begun = " ".join(self.line)
            raise UserError(f"{' '.join(wishes)} does not go with what the version was begun with, {begun}") from error
        named = [override.key_or_group for override in overrides.judge_overrides(wishes).values.values()]
        return {
            key: _value(now, key)
            for key in schema_keys()
            if (_is_named(key, named) or _value(now, key) != _value(self._composed, key))
            and _value(now, key) != _value(self.config, key)
        }


def _is_named(key: str, names: Collection[str]) -> bool:
    """Whether a key, or an element of one that is a list, is among the names."""
    return any(name == key or name.startswith(f"{key}.") for name in names)


def _saved(folder: Path) -> DictConfig:
    file = paths.config(folder)
    try:
        kept = OmegaConf.to_container(OmegaConf.load(file))
        if not isinstance(kept, dict):
            raise ValueError("it is no config")
        saved = OmegaConf.merge(OmegaConf.structured(Config), config_of_today(kept))  # type: ignore[arg-type]
    except _ERRORS as error:
        raise UserError(f"resume={folder.name}: {file} cannot be read ({str(error).splitlines()[0]})") from error
    assert isinstance(saved, DictConfig)
    return saved


def _value(config: DictConfig, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return list(value) if OmegaConf.is_list(value) else value
