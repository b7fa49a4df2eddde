"""Overrides of the command line, judged one by one before Hydra composes them: what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lorasweep import program
from lorasweep.compose import suggestions
from lorasweep.compose.arguments import Foreign
from lorasweep.compose.groups import Groups
from lorasweep.compose.suggestions import Meant
from lorasweep.errors import Problem
from lorasweep.schema import Config, schema_keys
from lorasweep.schema.limits import beyond_limits
from lorasweep.text.grammar import parsed, quoted
from lorasweep.text.names import stands_for
from lorasweep.text.shell import shell_quoted


@dataclass
class Judged:
    """The overrides of one command line: the problems, and by their text those that can be composed."""

    problems: list[Problem] = field(default_factory=list)
    groups: dict[str, Override] = field(default_factory=dict)
    values: dict[str, Override] = field(default_factory=dict)


def judge_overrides(overrides: Sequence[str]) -> Judged:
    """Judge each override by itself: its syntax, its group and choice, its key. Hydra must be initialized."""
    judged = Judged()
    groups = Groups(overrides)
    for text in overrides:
        override = parsed(text)
        if override is None or override.is_sweep_override():
            judged.problems.append(_unreadable(text, override, groups))
            continue
        is_group = override.key_or_group not in schema_keys() and groups.has(override.key_or_group)
        problem = groups.problem(text, override) if is_group else _key_problem(text, override, groups)
        if problem:
            judged.problems.append(problem)
        else:
            (judged.groups if is_group else judged.values)[text] = override
    return judged


def options(given: Sequence[Foreign], line: Sequence[str] = ()) -> list[Problem]:
    """Return what to type instead of options with dashes, which there are not.

    Args:
        given: such options.
        line: the overrides beside them. Hydra must be initialized.
    """
    groups, problems = Groups(line), []
    for option in given:
        name, value = option.name, option.value
        if name in schema_keys() or name in groups.names:
            found: Meant = Meant((name,))
            cure = f"without dashes: {shell_quoted(f'{name}={value}')}"
        else:
            found = suggestions.meant(name, groups.names)
            cure = f"there is no such option{_hint(found, value, groups)}"
        problems.append(Problem(f"{option.display}: {cure}", *found.names))
    return problems


def variants(overrides: Sequence[str]) -> list[list[str]]:
    """Return command lines without sweeps that between them use every value of a multirun's sweeps once.

    Of a range or an interval the two ends stand for all. Overrides that cannot be read are passed on.
    """
    values: list[list[str]] = []
    for text in overrides:
        override = parsed(text)
        values.append(list(_swept(override)) if override and override.is_sweep_override() else [text])
    values = [choices for choices in values if choices]
    first = [choices[0] for choices in values]
    others = [
        [*first[:index], other, *first[index + 1 :]] for index, choices in enumerate(values) for other in choices[1:]
    ]
    return [first, *others]


def _unreadable(text: str, override: Override | None, groups: Groups) -> Problem:
    """Return what to say of an override that cannot be read, or that stands for several where one is wanted."""
    key, equals, value = text.partition("=")
    name = key.lstrip("+~")
    entry = schema_keys().get(name)
    if override is not None:
        forms = ["add -m to train a version for each"]
        if entry is not None and entry.kind is list:
            forms.append(f"or write it as one list: {shell_quoted(f'{key}=[{value}]')}")
        elif entry is not None and entry.kind is str and "choices" not in entry.limits:
            forms.append(f"or quote it as one text: {shell_quoted(f'{key}={quoted(value)}')}")
        return Problem(f"{text}: {', '.join(forms)}", name)
    if equals:
        return Problem(f"{text}: expected key=value; quote the value: {shell_quoted(f'{key}={quoted(value)}')}", name)
    by_use = sorted(groups.names, key=lambda group: group != "lora")
    chosen = next((f"{group}={text}" for group in by_use if text in groups.of(group)), None)
    if chosen is None and Path(text).exists():
        chosen = shell_quoted(f"dataset.path={text}")
    hint = f"; did you mean {chosen}?" if chosen else ", such as network.rank=8"
    return Problem(f"{text}: expected key=value{hint}", name)


def _key_problem(text: str, override: Override, groups: Groups) -> Problem | None:
    key, known = override.key_or_group, schema_keys()
    if key.startswith("hydra.") and isinstance(override.value(), str) and groups.of(key.replace(".", "/")):
        return Problem(f"{text}: a group is chosen with a slash: {text.replace('.', '/')}", key)
    of_list = any(key.startswith(f"{name}.") for name, entry in known.items() if entry.kind is list)
    if key.startswith("hydra.") or ((key in known or of_list) and not override.is_delete()):
        return None
    if key == "hydra":
        return Problem(f"{text}: settings of Hydra are set one by one; {program.command()} --cfg hydra lists them", key)
    if "_target_" in key.split("."):
        return Problem(f"{text}: a config cannot name code to run; choose from a group, such as optimizer=adamw", key)
    if override.is_delete():
        return Problem(f"{text}: a key cannot be taken away; set it instead, with {key}=...", key)
    found = suggestions.meant(key, groups.names)
    return Problem(f"{text}: there is no key {key}{_hint(found, text.partition('=')[2], groups)}", *found.names)


def _hint(found: Meant, value: str, groups: Groups) -> str:
    """Return what to say of a key that does not exist, with the whole override that is meant where that is clear."""
    if found.instead is not None:
        what = f"for kohya's {found.kohya}" if found.kohya else "in its place"
        return f"; {what}: {found.instead}"
    if not found.names:
        return "; docs/config-reference.md lists all keys"
    if found.kohya is not None:
        whole = _meant(found.names[0], value, groups)
        return f"; what kohya calls {found.kohya} is {found.names[0]} here{f': {whole}' if whole else ''}"
    return f"; did you mean {' or '.join(_meant(name, value, groups) or name for name in found.names[:3])}?"


def _meant(name: str, value: str, groups: Groups) -> str | None:
    """Return `name=value` if that is a sound override of a key or a group, None if it is not."""
    key = schema_keys().get(name)
    if key is None:
        chosen = stands_for(value, {choice: choice for choice in groups.of(name)} | dict(groups.words(name)))
        return f"{name}={chosen}" if chosen else None
    override = parsed(f"{name}={value}")
    if override is None or override.is_sweep_override():
        return None
    try:
        typed = OmegaConf.structured(Config)
        OmegaConf.update(typed, name, override.value())
        found = OmegaConf.select(typed, name)
    except OmegaConfBaseException:
        return None
    return None if any(beyond_limits(key, found)) else f"{name}={value}"


def _swept(override: Override) -> Iterator[str]:
    """Yield the overrides that stand for all values of a sweep; none for a glob, which names what exists."""
    key, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        yield from (f"{key}={end:g}" for end in (sweep.start, sweep.end))
    elif not isinstance(sweep, Glob):
        values = list(override.sweep_string_iterator())
        ends = values[:1] + values[-1:] if override.is_range_sweep() else values
        yield from (f"{key}={value}" for value in dict.fromkeys(ends))
