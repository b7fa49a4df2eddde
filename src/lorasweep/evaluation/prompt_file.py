"""`--prompts-file`: a prompt a line, plain or with the options that sd-scripts' files have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError
from lorasweep.evaluation.cell_keys import Request
from lorasweep.pictures.prompts import prompts_of

_OPTION = re.compile(r"\s--(?=[A-Za-z]+(?:\s|$))")
TITLE = "These prompts cannot be drawn"

_NUMBERS = {
    "w": ("width", int),
    "h": ("height", int),
    "d": ("seed", int),
    "l": ("guidance", float),
    "s": ("steps", int),
}
_OTHERS = {
    "ss": "the sampler, which is the base's own",
    "cn": "an image for a ControlNet",
    "am": "multipliers of networks: give strengths with --strengths",
    "ct": "a CLIP skip",
    "cfg": "a second guidance scale",
    "fs": "a flow shift",
}
"""Options of sd-scripts that are known and have no effect here."""


@dataclass(frozen=True)
class PromptLine:
    """One line of a prompts file.

    Attributes:
        text: the prompt; `{trigger}` stands for the trigger of whatever is drawn.
        negative_prompt: `--n`; None is the common one, like all that follow.
        width: `--w`, in pixels.
        height: `--h`, in pixels.
        seed: `--d`.
        guidance: `--l`, the scale of classifier-free guidance.
        steps: `--s`, of the sampler.
    """

    text: str
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None

    def requests(self, common: Request, seeds: Sequence[int], trigger: str) -> list[Request]:
        """Return the images that it asks for: one for each seed, or one where the line has its own.

        Args:
            common: the settings that the line does not give.
            seeds: of the images where the line gives none.
            trigger: for `{trigger}`.
        """
        prompts = prompts_of([self.text], seeds if self.seed is None else [self.seed], trigger)
        own = {
            name: value
            for name in ("negative_prompt", "width", "height", "guidance", "steps")
            if (value := getattr(self, name)) is not None
        }
        return [Request(**{**vars(common), **own, "prompt": prompt}) for prompt in prompts]


def read_prompts(path: Path, step: int = 8) -> tuple[list[PromptLine], list[str]]:
    """Return the prompts of a file, and a line on each option in it that has no effect here.

    Empty lines and lines that begin with `#` are passed over.

    Args:
        path: a text file, in UTF-8.
        step: what widths and heights are multiples of, in pixels.

    Raises:
        UserError: it cannot be read or holds no prompt, or an option has no value of its kind; every line at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UserError(f"--prompts-file {path} cannot be read ({reason})", title=TITLE) from None
    found: list[PromptLine] = []
    problems: list[str] = []
    ignored: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        prompt, wrong, unused = parse_prompt(line, step)
        problems += [f"{path}, line {number}: {reason}" for reason in wrong]
        ignored |= dict.fromkeys(unused)
        found.append(prompt)
    if not found and not problems:
        problems.append(f"{path} holds no prompt: write one a line, such as 'a portrait of {{trigger}} --d 1 --s 30'")
    if problems:
        raise UserError(problems, title=TITLE)
    return found, [f"{path}: {reason}" for reason in ignored]


def parse_prompt(line: str, step: int = 8) -> tuple[PromptLine, list[str], list[str]]:
    """Return what a line asks for, what is wrong with it, and what in it has no effect.

    Args:
        line: of a prompts file.
        step: what widths and heights are multiples of, in pixels.
    """
    text, *options = _OPTION.split(f" {line.strip()}")
    values: dict[str, Any] = {}
    problems, ignored = [], []
    for option in options:
        name, _, given = option.partition(" ")
        name, given = name.lower(), given.strip()
        if name == "n":
            values["negative_prompt"] = given
        elif name in _NUMBERS:
            field, kind = _NUMBERS[name]
            values[field], wrong = _number(name, given, kind, step)
            problems += wrong
        elif name in _OTHERS:
            ignored.append(f"--{name} has no effect here ({_OTHERS[name]})")
        else:
            known = ", ".join(f"--{each}" for each in ("n", *_NUMBERS))
            problems.append(f"--{name} is no option of a prompt; expected {known}")
    if not text.strip():
        problems.append("there is no prompt before the first option")
    return PromptLine(text.strip(), **values), problems, ignored


def _number(name: str, given: str, kind: type, step: int) -> tuple[Any, list[str]]:
    """Return the value of an option, and what is wrong with it."""
    least = {"w": step, "h": step, "d": 0, "l": 1, "s": 1}[name]
    try:
        value = kind(given)
    except ValueError:
        value = None
    if value is None or not least <= value < 2**63:
        what = "a whole number" if kind is int else "a number"
        return None, [f"--{name} {given}: expected {what} of at least {least}"]
    if name in "wh" and value % step:
        return None, [f"--{name} {given}: expected a multiple of {step} pixels, such as {value // step * step or step}"]
    return value, []
