"""Errors that are meant for the user: every problem at once, each with its cure, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something the user can put right.

    Args:
        problems: one line per problem; each says what was given, what was expected and what to do.
        title: the sentence above the list.
    """

    def __init__(self, problems: str | Sequence[str], title: str = "This run cannot start") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        self.title = title
        super().__init__(self.render())

    def render(self) -> str:
        """Return the whole message: the title, then one bullet per problem."""
        count = len(self.problems)
        head = f"{self.title} ({count} problem{'s' if count != 1 else ''}):"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])
