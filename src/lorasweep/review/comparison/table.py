"""The table of versions: what differs among those that can be compared, what each reached, which is best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from lorasweep.console.lines import echo, terminal
from lorasweep.review.comparison.groups import Comparison, Entry, order
from lorasweep.schema.measures import DECIMALS, MARGINS
from lorasweep.text.durations import duration
from lorasweep.text.lines import STATE_COLOURS
from lorasweep.text.names import short_names
from lorasweep.text.values import number

ENDLESS = 1 << 20  # columns of what is no terminal: a pipe, a file
MARKS = {"best": "*", "same": "="}
VALUE = 24  # characters of a setting in its column


def show(comparisons: Sequence[Comparison], *, sort: str = "number", console: Console | None = None) -> None:
    """Print a table for each group of versions that can be compared, and what its marks mean.

    On a terminal as many settings have a column as fit; those that differ too are named below.

    Args:
        comparisons: the groups.
        sort: as `comparison.order` takes it.
        console: where to print; None is the process's own terminal or pipe.
    """
    console = console or terminal()
    width = console.width if console.file.isatty() else ENDLESS
    for index, comparison in enumerate(comparisons):
        if index:
            echo(console=console)
        for line in lines(comparison, order(comparison, sort), width):
            echo(line, console=console)
    standings = {standing for comparison in comparisons for standing in comparison.standing.values()}
    if "best" in standings:
        same = f"; = as good: {MARGINS}" if "same" in standings else ""
        echo(Text(f"* best{same}", "dim"), console=console)


def lines(comparison: Comparison, entries: Sequence[Entry], width: int) -> list[Text]:
    """Return the table of one group.

    Args:
        comparison: the group.
        entries: its versions in the order of the rows.
        width: columns that there are; settings beyond them are named below the table.
    """
    home = entries[0].version.folder.parent
    found = [Text.assemble((comparison.title, "bold"), (f"  {home}/", "dim"))]
    names = short_names(comparison.differing)
    keys = comparison.telling
    while True:
        rows = _rows(comparison, entries, {key: names[key] for key in keys})
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if 2 * len(widths) + sum(widths) <= width or not keys:
            break
        keys = keys[:-1]
    right = range(3, len(widths) - 1)  # all but mark, version, status and date
    for row, entry in zip(rows, [None, *entries], strict=True):
        pairs = enumerate(zip(row, widths, strict=True))
        cells = [cell.rjust(wide) if index in right else cell.ljust(wide) for index, (cell, wide) in pairs]
        status = STATE_COLOURS.get(entry.version.status, "") if entry is not None else "dim"
        plain = "" if entry is not None else "dim"
        line = Text("  ").join(Text(cell, status if index == 2 else plain) for index, cell in enumerate(cells))
        line.rstrip()
        found.append(line)
    if rest := [names[key] for key in comparison.differing if key not in keys]:
        found.append(Text(f"they differ in {', '.join(rest)} too (--json has all of it)", "dim"))
    return found


def as_json(comparisons: Sequence[Comparison], sort: str = "number") -> list[dict[str, Any]]:
    """Return the versions as plain data, each with the number of its group; only versions of a group compare.

    Args:
        comparisons: the groups.
        sort: of the versions within a group, as `comparison.order` takes it.
    """
    return [
        _plain(comparison, entry) | {"group": index}
        for index, comparison in enumerate(comparisons)
        for entry in order(comparison, sort)
    ]


def _plain(comparison: Comparison, entry: Entry) -> dict[str, Any]:
    record, value = entry.version.record, entry.value
    return {
        "name": entry.version.name,
        "version": entry.version.number,
        "status": entry.version.status,
        "folder": str(entry.version.folder),
        "recipe": record.recipe,
        "objective": comparison.objective,
        "value": value if value is not None and value == value else None,
        "standing": comparison.standing.get(entry.version.number),
        "epoch": record.selected_epoch,
        "steps": entry.steps,
        "seconds": entry.seconds,
        "started": record.started or None,
        "base": record.base.path or None,
        "dataset": record.dataset.path or None,
        "trial": record.trial.plain() if record.trial is not None else None,
        "differs": {key: entry.settings.get(key) for key in comparison.differing},
    }


def _rows(comparison: Comparison, entries: Sequence[Entry], settings: dict[str, str]) -> list[list[str]]:
    """Return the head and a row per version."""
    head = ["", "", "status", "value", "epoch", "steps", *settings.values(), "time", "started"]
    return [head, *(_row(comparison, entry, list(settings)) for entry in entries)]


def _row(comparison: Comparison, entry: Entry, settings: Sequence[str]) -> list[str]:
    epoch = entry.version.record.selected_epoch
    return [
        MARKS.get(comparison.standing.get(entry.version.number, ""), ""),
        entry.name,
        entry.version.status,
        "" if entry.value is None else f"{entry.value:.{DECIMALS}f}",
        "" if epoch is None else str(epoch),
        "" if entry.steps is None else str(entry.steps),
        *(_written(entry.settings.get(key)) for key in settings),
        "" if entry.seconds is None else duration(entry.seconds),
        "" if entry.started is None else f"{entry.started:%Y-%m-%d %H:%M}",
    ]


def _written(value: Any) -> str:
    text = "" if value == "" else number(value)
    return text if len(text) <= VALUE else text[: VALUE - 1] + "…"
