"""The place that a caption or a prompt leaves for the trigger word."""

from __future__ import annotations

import re

_TRIGGER = re.compile(r"\{trigger\}|\[trigger\]", re.IGNORECASE)


def names_trigger(text: str) -> bool:
    """Return whether a caption or prompt leaves a place for the trigger: `{trigger}` or `[trigger]`."""
    return _TRIGGER.search(text) is not None


def with_trigger(text: str, trigger: str) -> str:
    """Return a caption or prompt with the trigger where `{trigger}` or `[trigger]` stands."""
    return _TRIGGER.sub(lambda _: trigger, text)
