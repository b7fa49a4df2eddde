"""Text as a word for a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lorasweep.text.encoding import readable


def shell_quoted(text: str | Path) -> str:
    r"""Return a text as one word for a shell; bytes that are no Unicode as `$'caf\xe9'`, as bash and zsh read them."""
    text = os.fspath(text)
    if readable(text) == text:
        return shlex.quote(text)
    return "$'" + readable(text.replace("\\", r"\\").replace("'", r"\'")) + "'"
