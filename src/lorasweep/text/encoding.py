"""Texts that may hold what an encoding lacks: file names that are no UTF-8, terminals that know no arrows."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def readable(name: str | Path) -> str:
    r"""Return a file name, or a text with one in it, as people can read and type it: what is not UTF-8 becomes `\xe9`.

    Python keeps such bytes as lone surrogates, which no encoder takes, and so neither terminals nor trackers.
    """
    text = re.sub(r"[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", os.fspath(name))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escape_output() -> None:
    r"""Let standard output write `\xe9` or `\u2193` for what its encoding lacks, wherever that is printed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def all_readable(value: Any) -> Any:
    """Return nested dicts and lists with every text in them, keys too, as `readable` has it."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {all_readable(key): all_readable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_readable(inner) for inner in value]
    return value


def json_text(value: Any, **options: Any) -> str:
    """Return a value as JSON that every encoder takes: what is no Unicode is escaped, and read back as it was.

    Args:
        value: of JSON's kinds.
        options: as `json.dumps` takes them.
    """
    return json.dumps(value, ensure_ascii=False, **options).encode("utf-8", "backslashreplace").decode("utf-8")
