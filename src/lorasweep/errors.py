"""Errors that are meant for the user: every problem at once, each with its cure, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lorasweep.text.encoding import readable
from lorasweep.text.exceptions import message

USER_ERROR = 2
"""Exit code of what the user can put right."""


class Problem(str):
    """One thing that is wrong, in one line: what was given, what was expected and what to do.

    Args:
        text: the line.
        *keys: the config keys (or groups) that it is about, the one at fault first; none where it is about no key.

    Attributes:
        keys: the config keys (or groups) that it is about, the one at fault first.
    """

    keys: tuple[str, ...]

    def __new__(cls, text: str, *keys: str) -> Problem:
        """Return the line, with the keys that it is about."""
        problem = super().__new__(cls, text)
        problem.keys = keys
        return problem

    def follows_from(self, wrong: Collection[str]) -> bool:
        """Return whether it is about a key, or a key of a group, that has a problem of its own already."""
        return any(key == other or key.startswith(f"{other}.") for key in self.keys for other in wrong)


class UserError(Exception):
    """Something the user can put right.

    Args:
        problems: one line per problem; each says what was given, what was expected and what to do.
        title: the sentence above the list.
        ways: what for -> command, where several commands lead on and none is the cure of one problem alone.
    """

    def __init__(
        self,
        problems: str | Sequence[str],
        title: str = "This run cannot start",
        ways: Mapping[str, str] | None = None,
    ) -> None:
        given = [problems] if isinstance(problems, str) else problems
        self.problems = [problem if isinstance(problem, Problem) else Problem(problem) for problem in given]
        self.title = title
        self.ways = dict(ways or {})
        super().__init__(self.render())

    def render(self) -> str:
        """Return the whole message: the title, then one bullet per problem, then the ways on."""
        count, width = len(self.problems), max(map(len, self.ways), default=0)
        head = f"{self.title} ({count} problem{'s' if count != 1 else ''}):"
        ways = [f"  {purpose.ljust(width)}  {command}" for purpose, command in self.ways.items()]
        return readable("\n".join([head, *(f"  - {problem}" for problem in self.problems), *ways]))


def one_line(error: BaseException) -> str:
    """Return an exception on one line: its kind and message; of an error meant for the user, what is wrong."""
    if isinstance(error, UserError):
        return "; ".join(error.problems)
    text = message(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def exit_with_message() -> Iterator[None]:
    """Let a UserError end the program with its text alone on stderr; HYDRA_FULL_ERROR=1 shows where it was raised.

    Raised through Hydra, it would be followed by Hydra's advice to ask for a traceback.

    Raises:
        SystemExit: with exit code 2.
    """
    try:
        yield
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error.render(), file=sys.stderr)
        raise SystemExit(USER_ERROR) from error
