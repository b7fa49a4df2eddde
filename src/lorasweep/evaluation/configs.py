"""The config under which a candidate is looked at: its version's own with changes, or that of a run like it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lorasweep.checks import check
from lorasweep.compose.composition import compose, composing
from lorasweep.compose.typed import hydra_words
from lorasweep.errors import Problem, UserError
from lorasweep.evaluation.candidates import Candidate
from lorasweep.export.weights import read_weights
from lorasweep.runs.record import Record
from lorasweep.schema import Config, schema_keys
from lorasweep.schema.base_model import FAMILIES
from lorasweep.schema.limits import ill_typed
from lorasweep.text.exceptions import first_line
from lorasweep.text.grammar import parsed, plain_value
from lorasweep.text.names import did_you_mean
from lorasweep.text.shell import shell_quoted

TITLE = "This cannot be measured"

CHANGEABLE = (
    "allow_code",
    "base_model.",
    "dataset.cache",
    "dataset.max_tokens",
    "dataset.path",
    "dataset.trigger",
    "dataset.validation_path",
    "evaluation.",
    "features.",
    "output_root",
    "sampling.",
    "tracker.",
    "training.device",
    "training.mixed_precision",
    "training.offload_idle",
)
"""What `--set` may change of a version's config, as it is no part of what was trained: beginnings of keys."""


def config_of(record: Record) -> Config:
    """Return the config of a version.

    Args:
        record: its record.

    Raises:
        UserError: it cannot be read, such as one of a newer program.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), record.config)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        where = f"the config of {record.folder} cannot be read ({first_line(error)})"
        raise UserError(f"{where}; it is of a newer lorasweep, perhaps", title=TITLE) from None
    assert isinstance(config, Config)
    return config


def changed(config: Config, line: Sequence[str]) -> Config:
    """Return a config with changes to how it is looked at.

    Args:
        config: of a version.
        line: `key=value`, as on the command line of a training.

    Raises:
        UserError: everything among it that cannot be changed, or to that value.
    """
    values: DictConfig = OmegaConf.structured(config)
    problems: list[Problem] = []
    for given, text in zip(line, hydra_words(line), strict=True):
        override = parsed(text)
        name = override.key_or_group if override is not None else given.partition("=")[0]
        if (problem := _refused(given, name)) is not None:
            problems.append(problem)
            continue
        try:
            OmegaConf.update(values, name, plain_value(override) if override is not None else None)
        except (OmegaConfBaseException, ValueError):
            problems.append(ill_typed(schema_keys()[name], given))
    result = OmegaConf.to_object(values)
    assert isinstance(result, Config)
    problems += measuring_problems(result)
    if problems:
        raise UserError(problems, title=TITLE)
    return result


def measuring_problems(config: Config) -> list[Problem]:
    """Return what is wrong with a config in what looking at a version takes; data that is gone is no problem."""
    return [
        problem
        for problem in check(config)
        if problem.keys and problem.keys[0].startswith(("base_model.", "evaluation.", "features.", "sampling."))
    ]


def like(candidate: Candidate, line: Sequence[str]) -> Config:
    """Return the config under which a file from elsewhere is looked at, when nothing else is beside it.

    That is `lora=custom` on the base that its metadata names, with the changes.

    Args:
        candidate: of no version.
        line: overrides, as on the command line of a training.

    Raises:
        UserError: no family claims the file, or an override is wrong.
    """
    assert candidate.file is not None
    given = {text.partition("=")[0] for text in line}
    name = "".join(char for char in candidate.file.stem if char.isalnum() or char in "-_") or "LoRA"
    choice = [] if "base_model" in given else [f"base_model={_choice(candidate.file)}"]
    data = [] if "dataset.path" in given else ["dataset.theme=fuzzybear", "evaluation=none", "objective=train/loss"]
    with composing():
        composed = compose(["lora=custom", f"name={name}", *choice, *data, *line])
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    if not data:
        return config
    config.dataset.theme = None
    return config


def _choice(file: Path) -> str:
    """Return the choice of the group base_model that a file's base is."""
    metadata = read_weights(file)[1]
    for name in FAMILIES:
        if choice := FAMILIES[name].choice_of(metadata):
            return str(choice)
    raise UserError(f"{file} does not say which base it is for: give that with --set base_model=CHOICE", title=TITLE)


def _refused(given: str, name: str) -> Problem | None:
    """Return why a change is none that can be made."""
    known = [key for key in schema_keys() if key.startswith(CHANGEABLE)]
    if name in known:
        return None
    if name in schema_keys():
        return Problem(f"--set {given}: it was trained with what its record says; how it is looked at can change", name)
    hint = did_you_mean(name, known)
    return Problem(f"--set {shell_quoted(given)}: expected KEY=VALUE with a key such as sampling.steps{hint}", name)
