"""Where a task failed, kept: on an exception on its way between processes, and in a file of the study's folder."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hydra.errors import HydraException

from lorasweep.errors import UserError

_ATTRIBUTE = "_lorasweep_traceback"
"""Attribute of an exception: pickling drops its traceback, but keeps what attributes it has."""


def tracing(task: Callable[..., Any]) -> Callable[..., Any]:
    """Return a task that lets its exceptions keep their traceback on the way through any launcher."""

    @functools.wraps(task)
    def traced(*arguments: Any, **named: Any) -> Any:
        try:
            return task(*arguments, **named)
        except Exception as error:
            with suppress(AttributeError):  # one with slots
                setattr(error, _ATTRIBUTE, formatted(error))
            raise

    return traced


def formatted(error: BaseException) -> str | None:
    """Return an exception's traceback as text, that of the process in which it was raised.

    None of an error that is meant for the user, and of one who just leaves: where they were raised tells nothing.
    """
    if isinstance(error, UserError | HydraException | SystemExit) or isinstance(error.__cause__, UserError):
        return None
    kept: str | None = getattr(error, _ATTRIBUTE, None)
    return kept or "".join(traceback.format_exception(error))
