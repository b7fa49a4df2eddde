"""Lines on a console."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

WARNING = "warning: "
"""How a line begins that tells what is hardly meant."""

STATE_COLOURS = {
    "complete": "green",
    "pruned": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "running": "cyan",
}
"""How the states of runs and trials are coloured on a terminal; others have no colour."""


def print_line(line: Text, console: Console) -> None:
    """Print a line as it is: no markup, no wrapping; what the console's encoding lacks becomes `?`.

    Args:
        line: left as it is.
        console: where to print.
    """
    line = line.copy()
    line.plain = line.plain.encode(console.encoding, "replace").decode(console.encoding)
    console.print(line, soft_wrap=True, highlight=False, crop=False)
