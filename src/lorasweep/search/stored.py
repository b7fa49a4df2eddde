"""Values as Optuna stores them.

Optuna stores None, bool, int, float and str only. Any other choice (a list, a dict) is stored as `=` and its text in
Hydra's grammar. A share of another key, `${of_lr:0.5}`, is stored as it reads: `0.5 x lr`; so Optuna's own plots and
the dashboard show that too. A text that itself looks like one of these is stored with `=` in front. A stored text is
thus an override's right side after `=`, a share, or itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.types import QuotedString

from lorasweep.text.grammar import element, parsed, plain_value

MARK = "="
"""In front of a stored choice: what follows is the choice as text in Hydra's grammar."""


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


_SHARE = re.compile(rf"\$\{{of_(\w+):\s*({_NUMBER})\s*\}}")
"""A resolver that is called of_<key> and takes a number: so much of that key's value."""


_STORED_SHARE = re.compile(rf"({_NUMBER}) x (\w+)")


def dotted(params: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Return params with a dict of further ones flattened: `{network: {rank: 4,8}}` is `{network.rank: 4,8}`.

    A dict with `low`, `high` or `choices` is a sweep in the official plugin's older form.
    """
    found: dict[str, Any] = {}
    for key, value in params.items():
        inner = isinstance(value, Mapping) and bool(value) and not {"low", "high", "choices"} & value.keys()
        found |= dotted(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


def stored(value: Any) -> bool | int | float | str | None:
    """Return a choice in the form in which Optuna stores it."""
    plain = value.text if isinstance(value, QuotedString) else value
    if isinstance(plain, str):
        if share := _SHARE.fullmatch(plain):
            return f"{share[2]} x {share[1]}"
        if plain.startswith(MARK) or _STORED_SHARE.fullmatch(plain):
            return MARK + element(plain)
    return MARK + element(plain) if isinstance(plain, (list, tuple, Mapping)) else plain


def stored_text(value: Any) -> str:
    """Return a stored value as the right side of an override."""
    if isinstance(value, str) and value.startswith(MARK):
        return value[len(MARK) :]
    share = _STORED_SHARE.fullmatch(value) if isinstance(value, str) else None
    return f"${{of_{share[2]}:{share[1]}}}" if share else element(value)


def from_stored(value: Any) -> Any:
    """Return a stored value as a reader takes it: lists and dicts as such, shares as `0.5 x lr`."""
    if not isinstance(value, str):
        return value
    if value.startswith(MARK):
        override = parsed(f"k={value[len(MARK) :]}")
        return value[len(MARK) :] if override is None else plain_value(override)
    return with_readable_shares(value)


def with_readable_shares(text: str) -> str:
    """Return a text with every share of another key in it as it reads: `choice(0,0.5 x lr)`."""
    return _SHARE.sub(r"\2 x \1", text)
