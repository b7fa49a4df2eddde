"""The arguments of train.py: Hydra's options, the overrides, and options that neither has.

`--network_dim 16` is how other trainers take their settings; it is told apart here and answered like a wrong key.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.utils import get_args_parser

from lorasweep.typed import readable


@dataclass(frozen=True)
class Foreign:
    """An option that is not Hydra's.

    Attributes:
        shown: as it was typed.
        name: without dashes, those inside made underscores.
        value: what it was given; `true` where it stood alone.
    """

    shown: str
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
    """

    hydra: argparse.Namespace
    foreign: tuple[Foreign, ...]
    argv: list[str]
    several: bool


def read(argv: Sequence[str]) -> Arguments:
    """Read a command line without the program's name.

    Raises:
        SystemExit: an option of Hydra's lacks its value, or has one that it does not take.
    """
    rest, foreign = _parted(argv)
    args = get_args_parser().parse_args(rest)
    typed = list(args.overrides)
    several = bool(args.multirun) or any(text.strip() == "hydra.mode=MULTIRUN" for text in typed)
    args.overrides = readable(typed, several)
    meant = dict(zip(typed, args.overrides, strict=True))
    return Arguments(args, tuple(foreign), [meant.get(text, text) for text in rest], several)


def _parted(argv: Sequence[str]) -> tuple[list[str], list[Foreign]]:
    """Return the arguments that Hydra takes, and the options that it does not."""
    known = get_args_parser()._option_string_actions
    rest: list[str] = []
    foreign: list[Foreign] = []
    waiting = iter(range(len(argv)))
    for place in waiting:
        text = argv[place]
        name, equals, value = text.partition("=")
        abbreviates = name.startswith("--") and any(option.startswith(name) for option in known)
        if not name.startswith("-") or name in known or abbreviates:
            rest.append(text)
            action = known.get(name)
            if action is not None and action.nargs is None and not equals and place + 1 < len(argv):
                rest.append(argv[next(waiting)])  # its value, whatever that looks like
            continue
        following = argv[place + 1] if place + 1 < len(argv) else "-"
        if not equals and not following.startswith("-") and "=" not in following:
            value = argv[next(waiting)]
            text = f"{text} {value}"
        foreign.append(Foreign(text, name.lstrip("-").replace("-", "_"), value or "true"))
    return rest, foreign
