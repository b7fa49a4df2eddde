"""The leaderboard of a study: on a terminal, as JSON, as CSV. `ranking` says in which order the trials stand.

On a terminal in aligned columns where they fit, else in a few lines per trial; nothing is wrapped or cut.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from rich.console import Console
from rich.text import Text

from lorasweep.search.ranking import RankedTrial, best, ranking_remarks
from lorasweep.search.stored import from_stored
from lorasweep.search.wording import as_overrides, parameter, settings
from lorasweep.text.durations import duration
from lorasweep.text.lines import STATE_COLOURS, print_line
from lorasweep.text.names import short_names
from lorasweep.text.values import score

INDENT = " " * 6
ENDLESS = 1 << 20  # columns of what is no terminal: a pipe, a file


def as_json(study: optuna.Study, ranked: Sequence[RankedTrial]) -> dict[str, Any]:
    """Return the leaderboard as plain data: `study`, `directions`, `trials`, best first; numbers are finite or None."""
    return {
        "study": study.study_name,
        "directions": [direction.name.lower() for direction in study.directions],
        "trials": [
            {
                "number": row.number,
                "version": row.version,
                "state": row.state,
                "values": _plain(row.values),
                "params": _plain({key: from_stored(value) for key, value in row.params.items()}),
                "seconds": _plain(row.seconds),
                "reason": row.reason or None,
            }
            for row in ranked
        ],
    }


def as_csv(study: optuna.Study, ranked: Sequence[RankedTrial]) -> str:
    """Return the leaderboard as a table of comma-separated values with a head, best first.

    Columns: number, version, state, one of value and spread per objective, n, feasible, pareto, `params_<key>`,
    `metrics_<name>`, seconds, folder, refit, reason. What a trial lacks is empty.
    """
    params = list(dict.fromkeys(key for row in ranked for key in row.params))
    metrics = list(dict.fromkeys(name for row in ranked for name in row.metrics))
    names = value_names(study)
    spreads = ["spread" if len(names) == 1 else f"{name}_spread" for name in names]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        ["number", "version", "state"]
        + [column for pair in zip(names, spreads, strict=True) for column in pair]
        + ["n", "feasible", "pareto", *(f"params_{key}" for key in params), *(f"metrics_{name}" for name in metrics)]
        + ["seconds", "folder", "refit", "reason"]
    )
    for row in ranked:
        values = row.values or (None,) * len(names)
        pairs = zip(values, row.spread or (None,) * len(names), strict=True)
        cells = [row.number, row.version, row.state, *(cell for pair in pairs for cell in pair)]
        cells += [row.n or None, row.feasible, row.pareto]
        cells += [from_stored(row.params.get(key, "")) for key in params] + [
            row.metrics.get(name, "") for name in metrics
        ]
        table.writerow([*cells, row.seconds, row.folder, row.refit, row.reason])
    return out.getvalue()


def value_names(study: optuna.Study) -> list[str]:
    """Return what the objectives are called: the study's metric names, else `value`, or `value_0`, `value_1`, …"""
    if study.metric_names:
        return list(study.metric_names)
    count = len(study.directions)
    return ["value"] if count == 1 else [f"value_{index}" for index in range(count)]


def show(
    study: optuna.Study, ranked: Sequence[RankedTrial], console: Console | None = None, *, top: int | None = None
) -> None:
    """Print the leaderboard and what must be known to read it.

    Args:
        study: the search.
        ranked: its rows, best first.
        console: where to print; None is standard output.
        top: print only so many rows, and say how many are left out; None prints all.
    """
    console = console or Console()
    width = console.width if console.file.isatty() else ENDLESS
    for line in lines(study, ranked[:top], width):
        print_line(line, console)
    if top is not None and len(ranked) > top:
        print_line(Text(f"… and {len(ranked) - top} more", style="dim"), console)
    for remark in ranking_remarks(study, ranked):
        print_line(Text(remark), console)


def show_pairs(title: str, pairs: Mapping[str, str], console: Console | None = None) -> None:
    """Print a title and below it lines of name and value."""
    console = console or Console()
    print_line(Text(title, style="bold"), console)
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print_line(Text.assemble("  ", (name.ljust(width), "dim"), "  ", value), console)


def about_best(ranked: Sequence[RankedTrial]) -> dict[str, str]:
    """Return where the best version is and the command that trains it again, by name; of several objectives the front.

    Args:
        ranked: the rows, best first.
    """
    top = best(ranked)
    if top is None:
        front = [row for row in ranked if row.pareto]
        return {f"trial {row.number}": row.folder or row.version or settings(row.params) for row in front}
    steps = {"best": " in ".join(filter(None, [top.version or f"trial {top.number}", top.folder]))}
    if top.refit:
        steps["refit"] = f"on all images in {top.refit}"
    return steps | ({"again": top.command} if top.command else {"parameters": as_overrides(top.params)})


def summary(ranked: Sequence[RankedTrial]) -> str:
    """Return a study in a line: `12 trials (5 complete, 6 pruned, 1 failed), best 0.7812 (FuzzyBear v9)`."""
    count = {state: sum(row.state == state for row in ranked) for state in dict.fromkeys(row.state for row in ranked)}
    text = f"{len(ranked)} trials"
    text += f" ({', '.join(f'{many} {state}' for state, many in count.items())})" if count else ""
    top, front = best(ranked), sum(row.pareto for row in ranked)
    if top is not None:
        return f"{text}, best {score(top.values[0])} ({top.version or f'trial {top.number}'})"
    return f"{text}, {front} on the Pareto front" if front else text


def lines(study: optuna.Study, ranked: Sequence[RankedTrial], width: int) -> list[Text]:
    """Return the leaderboard in lines of at most `width` columns, but for reasons, which are printed whole.

    As a table with the reasons in its last column; where that is too wide, with each reason below its row; where
    the table itself is too wide, as a few lines per trial.
    """
    names = short_names(key for row in ranked for key in row.params)
    table = _table(study, ranked, names)
    reasons = ["", *(row.reason for row in ranked)]
    if max(len(line) + len(reason) for line, reason in zip(table, reasons, strict=True)) <= width:
        return [line.append(reason) if reason else _cut(line) for line, reason in zip(table, reasons, strict=True)]
    if max(len(_cut(line)) for line in table) <= width:
        pairs = zip(map(_cut, table), reasons, strict=True)
        return [text for line, reason in pairs for text in (line, Text(INDENT + reason)) if text.plain.strip()]
    return _stacked(ranked, names)


def _cut(line: Text) -> Text:
    line.rstrip()
    return line


def _table(study: optuna.Study, ranked: Sequence[RankedTrial], names: Mapping[str, str]) -> list[Text]:
    """Return a head and a line per row, all of the same length."""
    repeated, versions = any(row.n > 1 for row in ranked), any(row.version for row in ranked)
    objectives = value_names(study)

    def cells(rank: int, row: RankedTrial) -> list[str]:
        found = [_mark(rank, row), str(row.number), row.state, *_values(row, len(objectives))]
        found += [str(row.n or "")] if repeated else []
        found += [parameter(row.params[key]) if key in row.params else "" for key in names]
        found += ["" if row.seconds is None else duration(row.seconds)]
        return [*found[:2], row.version or "", *found[2:]] if versions else found

    head = ["", "trial", *(["version"] if versions else []), "state", *objectives, *(["n"] if repeated else [])]
    head += [*names.values(), "time"]
    table = [head, *(cells(rank, row) for rank, row in enumerate(ranked, 1))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = {2, 3} if versions else {2}  # words; all else are numbers
    texts = [
        [
            "  " + (cell.ljust(width) if index in left else cell.rjust(width))
            for index, (cell, width) in enumerate(pairs)
        ]
        for pairs in (list(zip(line, widths, strict=True)) for line in table)
    ]
    result = [Text("".join(texts[0]) + "  ", "dim")]
    for row, parts in zip(ranked, texts[1:], strict=True):
        colour = STATE_COLOURS.get(row.state, "")
        line = Text().join(Text(part, colour if index == max(left) else "") for index, part in enumerate(parts))
        result.append(line.append("  "))
    return result


def _stacked(ranked: Sequence[RankedTrial], names: Mapping[str, str]) -> list[Text]:
    result: list[Text] = []
    for rank, row in enumerate(ranked, 1):
        values = ", ".join(value for value in _values(row, max(1, len(row.values))) if value)
        values += f" (n {row.n})" if row.n > 1 else ""
        head = [f"{_mark(rank, row):>2}", f"trial {row.number}", row.version or ""]
        result.append(
            Text("  ").join([*map(Text, filter(None, head)), Text(row.state, STATE_COLOURS.get(row.state, ""))])
        )
        result[-1].append(f"  {values}" if values else "")
        result[-1].append(f"  {duration(row.seconds)}" if row.seconds is not None else "")
        result += [Text(INDENT + text) for text in (settings(row.params, names), row.reason) if text]
    return result


def _mark(rank: int, row: RankedTrial) -> str:
    """Return the place of a complete trial; `*` on the Pareto front, where there are no places."""
    if row.pareto:
        return "*"
    return str(rank) if len(row.values) == 1 and row.feasible else ""


def _values(row: RankedTrial, count: int) -> list[str]:
    if not row.values:
        last = "" if row.last is None else f"({score(row.last[1])} at {row.last[0]})"
        return [last, *[""] * (count - 1)]
    spreads = [f" ± {spread:.2g}" for spread in row.spread] or [""] * len(row.values)
    return [score(value) + spread for value, spread in zip(row.values, spreads, strict=True)]


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
