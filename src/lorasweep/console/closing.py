"""The table that a version closes with: its measures beside the base's, where its files are, what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lorasweep.console.lines import echo, echo_pairs, terminal
from lorasweep.runs.record import Record, Seconds
from lorasweep.runs.stopwatch import PHASES
from lorasweep.schema.goals import find_goal
from lorasweep.schema.measures import DECIMALS, MARGINS, Measure, measures_of, verdict
from lorasweep.text.durations import duration
from lorasweep.text.lines import STATE_COLOURS

MOST_IMAGE_METRICS = 3
"""Metrics of images in the table: those that differ most from the base, against what they may vary."""

VERDICT_COLOURS = {"better": "green", "worse": "red", "same": "dim"}

Column = tuple[str, Mapping[str, float | None]]
"""A head, and the metrics below it."""


def closing_table(
    record: Record,
    paths: Mapping[str, Path],
    commands: Mapping[str, str],
    *,
    console: Console | None = None,
) -> None:
    """Print how a version ended: its metrics against the base, where its files are, the time, what to do next.

    Args:
        record: of the version.
        paths: label -> file or folder; those that do not exist are left out.
        commands: what for -> command.
        console: where to print; None is the process's own terminal or pipe, unless `silenced`.
    """
    console = console or terminal()
    echo(console=console)
    head = Text.assemble(
        (f"{record.name} v{record.version}", "bold"), "  ", (record.status, STATE_COLOURS.get(record.status, ""))
    )
    echo(head, console=console)
    if record.reason:
        echo(f"  {record.reason}", console=console)
    for line in _metric_lines(record, console):
        echo(line, console=console)
    facts = {label: str(path) for label, path in paths.items() if path.exists()}
    facts["time"] = _time(record.seconds or Seconds())
    echo(console=console)
    echo_pairs("files", facts, console=console)
    if commands:
        echo_pairs("next", commands, console=console)


def _time(seconds: Seconds) -> str:
    phases = {name: getattr(seconds, name) for name in PHASES}
    parts = ", ".join(f"{name} {duration(value)}" for name, value in phases.items() if value >= 0.5)
    return duration(seconds.total) + (f" ({parts})" if parts else "")


def _metric_lines(record: Record, console: Console) -> list[Text]:
    """Return the table base -> selected -> last as lines that fit the console, and below it what its words mean."""
    base = {"val/loss_ratio": 1.0} | (record.metrics.base or {})
    columns = _columns(record, base)
    measured = {name: None for _, metrics in columns[1:] for name, value in metrics.items() if value is not None}
    if not (measures := measures_of(measured)):
        return []
    chosen_by = [record.objective.name, str((record.config.get("evaluation") or {}).get("select_by") or "")]
    left_out = _least_different(measures, columns[1][1], base, chosen_by)
    measures = {name: measure for name, measure in measures.items() if name not in left_out}
    rows = [
        (measure.label, [_cell(name, metrics, base, console) for _, metrics in columns])
        for name, measure in measures.items()
    ]
    heads = [head for head, _ in columns]
    meanings = [Text(measure.meaning, "dim") for measure in measures.values()]
    explained = [(label, [*cells, meaning]) for (label, cells), meaning in zip(rows, meanings, strict=True)]
    if not (lines := _table([*heads, ""], explained, console.width)):
        lines = _table(heads, rows, console.width) or _stacked(heads, rows)
        lines += [Text.assemble((f"  {label}: ", "dim"), text) for (label, _), text in zip(rows, meanings, strict=True)]
    if any(f"{name}_delta_low" in columns[1][1] for name in measures):
        lines += [Text("  [low, high]: of the difference to the base, 95% intervals over prompts and seeds", "dim")]
    lines += [Text(f"  same: the interval holds 0; without one, {MARGINS}", "dim")]
    if left_out:
        others = ", ".join(measures_of(left_out)[name].label for name in left_out)
        lines += [Text(f"  less different from the base: {others}", "dim")]
    return [Text(), *lines, *(Text(f"  {line}") for line in _by_noise(columns[1][1]))]


def _by_noise(selected: Mapping[str, float | None]) -> list[str]:
    """Return in a line how much of the base's loss is left at each level of noise, and what that says."""
    name = "val/loss_ratio"
    found = (selected.get(f"{name}_bin_{index}") for index in range(len(selected)))
    ratios = [ratio for ratio in found if ratio is not None]
    if len(ratios) < 2:
        return []
    same = [what for what, ratio in (("fine detail", ratios[0]), ("composition", ratios[-1])) if _unlearnt(ratio)]
    hardly = f": {' and '.join(same)} hardly changed" if same else ""
    values = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    return [f"by noise, from little (fine detail) to much (composition): {values} of the base's loss{hardly}"]


def _unlearnt(ratio: float) -> bool:
    return verdict("val/loss_ratio", ratio, 1.0) == "same"


def _columns(record: Record, base: Mapping[str, float | None]) -> list[Column]:
    """Return the base, the selected epoch and the last one, where that is another."""
    epochs, selected = record.epochs, record.selected
    columns: list[Column] = [("base", base)]
    if selected is not None:
        columns.append((f"epoch {selected.epoch} (selected)", selected.metrics))
    if epochs and epochs[-1] is not selected:
        columns.append((f"epoch {epochs[-1].epoch} (last)", epochs[-1].metrics))
    return columns


def _table(heads: list[str], rows: list[tuple[str, list[Text]]], width: int) -> list[Text]:
    """Return aligned columns; [] where they are wider than `width`."""
    table = [("", [Text(head, style="dim") for head in heads]), *rows]
    widths = [max(len(cells[index]) for _, cells in table) for index in range(len(heads))]
    first = max(len(label) for label, _ in table)
    if 2 + first + sum(2 + each for each in widths) > width:
        return []
    lines = [Text("  ").join([Text("  " + label.ljust(first)), *map(_padded, cells, widths)]) for label, cells in table]
    for line in lines:
        line.rstrip()
    return lines


def _stacked(heads: list[str], rows: list[tuple[str, list[Text]]]) -> list[Text]:
    lines = []
    for label, cells in rows:
        lines.append(Text(f"  {label}", style="bold"))
        pairs = zip(heads, cells, strict=True)
        lines += [Text.assemble("    ", (head, "dim"), "  ", cell) for head, cell in pairs if cell.plain]
    return lines


def _least_different(
    measures: Mapping[str, Measure],
    metrics: Mapping[str, float | None],
    base: Mapping[str, float | None],
    chosen_by: Sequence[str],
) -> list[str]:
    """Return the metrics of images beyond the `MOST_IMAGE_METRICS` that differ most from the base.

    Args:
        measures: that were measured, by name.
        metrics: of the selected epoch.
        base: of the base.
        chosen_by: what versions and epochs are chosen by; the metrics in it are never left out.
    """
    kept = [name for text in chosen_by if (goal := find_goal(text)) is not None for name in goal.metrics]

    def difference(name: str) -> float:
        """How many times its own uncertainty a difference is."""
        value, bare = metrics.get(name), base.get(name)
        low, high = (metrics.get(f"{name}_delta_{end}") for end in ("low", "high"))
        if value is None or bare is None:
            return 0.0
        if low is not None and high is not None and high > low:
            return abs(low + high) / (high - low)
        scale = max(abs(value), abs(bare)) if measures[name].relative else 1.0
        return abs(value - bare) / (measures[name].margin * scale or 1.0)

    of_images = [name for name, measure in measures.items() if measure.cost in ("images", "many images")]
    ordered = sorted(of_images, key=lambda name: (name not in kept, -difference(name)))
    return [name for name in of_images if name in ordered[MOST_IMAGE_METRICS:] and name not in kept]


def _cell(name: str, metrics: Mapping[str, float | None], known: Mapping[str, float | None], console: Console) -> Text:
    value, base = metrics.get(name), known.get(name)
    if value is None:
        return Text()
    text = Text(f"{value:.{DECIMALS}f}")
    word = "" if base is None or metrics is known else verdict(name, value, base)
    low, high = (metrics.get(f"{name}_delta_{end}") for end in ("low", "high"))
    if word and low is not None and high is not None and low <= 0 <= high:
        word = "same"  # an interval that holds 0 leaves open which is better
    if not word:
        return text
    arrow = "" if word == "same" or not console.encoding.startswith("utf") else "↓ " if value < (base or 0) else "↑ "
    text.append(f" {arrow}{word}", style=VERDICT_COLOURS[word])
    return text if low is None or high is None else text.append(f" [{low:+.3f}, {high:+.3f}]", "dim")


def _padded(cell: Text, width: int) -> Text:
    return cell + Text(" " * (width - len(cell)))
