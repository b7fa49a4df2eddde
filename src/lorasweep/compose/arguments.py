"""The arguments of train.py: Hydra's options, the overrides, and options that neither has.

`--network_dim 16` is how other trainers take their settings; it is told apart here and answered like a wrong key.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.utils import get_args_parser

from lorasweep.compose.typed import hydra_words
from lorasweep.text.grammar import parsed


@dataclass(frozen=True)
class Foreign:
    """An option that is not Hydra's.

    Attributes:
        display: as it was typed.
        name: without dashes, those inside made underscores.
        value: what it was given; `true` where it stood alone.
    """

    display: str
    name: str
    value: str


@dataclass(frozen=True)
class Arguments:
    """The command line of train.py.

    Attributes:
        hydra: Hydra's options, and the overrides as `args.overrides`, readable for Hydra.
        foreign: options that are not Hydra's.
        argv: what Hydra is to read.
        several: whether it is a multirun.
        supplied: overrides that nobody typed, but that images of one's own ask for.
    """

    hydra: argparse.Namespace
    foreign: list[Foreign]
    argv: list[str]
    several: bool
    supplied: list[str]


def read_command_line(argv: Sequence[str]) -> Arguments:
    """Read a command line without the program's name.

    Raises:
        SystemExit: an option of Hydra's lacks its value, or has one that it does not take.
    """
    options, typed, foreign = _parted(argv)
    args = get_args_parser().parse_args(options)
    several = bool(args.multirun) or any(text.strip() == "hydra.mode=MULTIRUN" for text in typed)
    line = hydra_words(typed, several)
    if args.config_dir and not any(text.startswith("hydra.searchpath=") for text in line):
        # As an override it is part of what a version was begun with, and of the commands that repeat it.
        line.insert(0, f"hydra.searchpath=['file://{Path(args.config_dir).absolute()}']")
    supplied = own_images(line)
    args.overrides = [*supplied, *line]
    return Arguments(args, foreign, [*options, *args.overrides], several, supplied)


def own_images(line: Sequence[str]) -> list[str]:
    """Return the recipe and the name that a command line lacks which gives a folder of images and no recipe.

    Without them the images would be trained under the name and the trigger of the recipe that comes by itself.

    Args:
        line: overrides, readable for Hydra.
    """
    given = {text.partition("=")[0].lstrip("+"): text for text in line}
    if "dataset.path" not in given or given.keys() & {"lora", "resume"}:
        return []
    override = parsed(given["dataset.path"])
    if override is None or override.is_sweep_override() or override.value() is None or "name" in given:
        return ["lora=custom"]
    folder = Path(str(override.value())).resolve().name
    name = re.sub(r"[^\w.-]+", " ", folder).strip(" .-_")
    return ["lora=custom", *hydra_words([f"name={name[:1].upper()}{name[1:]}"] if name else [])]


def _parted(argv: Sequence[str]) -> tuple[list[str], list[str], list[Foreign]]:
    """Return Hydra's options with their values, the overrides, which may stand between them, and all other options."""
    known = get_args_parser()._option_string_actions
    options: list[str] = []
    overrides: list[str] = []
    foreign: list[Foreign] = []
    waiting = list(reversed(argv))
    while waiting:
        text = waiting.pop()
        name, equals, value = text.partition("=")
        follows = bool(waiting) and not waiting[-1].startswith("-")
        action = known.get(name) or next((known[key] for key in known if _abbreviates(name, key)), None)
        if not name.startswith("-"):
            overrides.append(text)
        elif action is not None:
            may_take = action.nargs == "?" and follows and waiting[-1] in (action.choices or ())
            takes_value = action.nargs is None or may_take
            options += [text, waiting.pop()] if takes_value and not equals and waiting else [text]
        else:
            if not equals and follows and "=" not in waiting[-1]:
                value = waiting.pop()
                text = f"{text} {value}"
            foreign.append(Foreign(text, name.lstrip("-").replace("-", "_"), value or "true"))
    return options, overrides, foreign


def _abbreviates(name: str, option: str) -> bool:
    return name.startswith("--") and option.startswith(name)
