"""`lorasweep compare` without its command line: candidates side by side, at the same prompts, seeds and strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from lorasweep.evaluation import results
from lorasweep.evaluation.asking import EvaluationOptions
from lorasweep.evaluation.bench import Bench, Measurement, paired
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.cell_keys import Request
from lorasweep.evaluation.evaluate import OpenBenches, measure_candidate
from lorasweep.evaluation.table import align
from lorasweep.metrics.intervals import Estimate
from lorasweep.pictures import grid
from lorasweep.schema import Config
from lorasweep.schema.measures import DECIMALS, METRICS


@dataclass(frozen=True)
class Compared:
    """A candidate among others.

    Attributes:
        candidate: it.
        config: under which it was measured.
        requests: what was drawn of it.
        bench: that measured it.
        by_strength: what was measured, by strength.
    """

    candidate: Candidate
    config: Config
    requests: Sequence[Request]
    bench: Bench
    by_strength: dict[float, Measurement]

    @property
    def usual(self) -> float:
        """The strength that it is compared at: the nearest to 1."""
        return min(self.by_strength, key=lambda strength: (abs(strength - 1), strength))


def compare_candidates(candidates: Sequence[Candidate], options: EvaluationOptions) -> list[Compared]:
    """Measure candidates at the same prompts, seeds and strengths; their records keep it as `evaluate`'s results.

    Args:
        candidates: at least one.
        options: how.

    Raises:
        UserError: a candidate cannot be measured.
    """
    configs = [options.config(candidate, candidates) for candidate in candidates]
    opened, found = OpenBenches(), []
    for candidate, config in zip(candidates, configs, strict=True):
        requests = options.requests(config, configs[0])
        bench, weights = opened.bench(config, requests), opened.weights(candidate, config)
        settings = results.evaluation_settings(config, requests, bench)
        by_strength: dict[float, Measurement] = {}
        for strength in options.strengths_of(candidate):
            measurement, evaluation = measure_candidate(candidate, weights, strength, settings, bench)
            if candidate.record is not None and not results.earlier(
                candidate.record, weights.sha256, strength, settings
            ):
                results.add(candidate.record, evaluation)
            by_strength[strength] = measurement
        found.append(Compared(candidate, config, requests, bench, by_strength))
    return found


def paired_lines(found: Sequence[Compared]) -> list[Text]:
    """Return a table of how each candidate differs from the first one, picture by picture, with intervals.

    Args:
        found: what was measured.
    """
    first = found[0]
    rows = [[Text(""), Text(""), Text(f"against {first.candidate.label}", "dim"), Text("")]]
    for name in METRICS:
        for position, other in enumerate(found[1:]):
            apart = paired(other.by_strength[other.usual], first.by_strength[first.usual])
            if name in apart:
                label = Text(METRICS[name].label if position == 0 else "", "bold")
                rows.append([label, Text(other.candidate.label), *_difference(name, apart[name])])
    return align(rows) if len(rows) > 1 else []


def strength_lines(found: Sequence[Compared]) -> list[Text]:
    """Return a table of every metric of images by strength, as differences to the base.

    Args:
        found: what was measured.
    """
    strengths = sorted({strength for each in found for strength in each.by_strength})
    if len(strengths) < 2:
        return []
    rows = [[Text(""), Text("against the base at", "dim"), *(Text(f"{strength:g}", "dim") for strength in strengths)]]
    for name in METRICS:
        labelled = False
        for each in found:
            deltas = {s: m.metrics.get(f"{name}_delta") for s, m in each.by_strength.items()}
            if all(delta is None for delta in deltas.values()):
                continue
            cells = ["" if (d := deltas.get(s)) is None else f"{d:+.{DECIMALS}f}" for s in strengths]
            label = Text("" if labelled else METRICS[name].label, "bold")
            rows.append([label, Text(each.candidate.label), *map(Text, cells)])
            labelled = True
    return align(rows) if len(rows) > 1 else []


def write_sheets_of(found: Sequence[Compared], folder: Path) -> list[Path]:
    """Draw the sheets of a comparison: prompts by candidates, and candidates by strengths; return their paths.

    Args:
        found: what was measured.
        folder: is made.

    Raises:
        OSError: they cannot be written.
    """
    first, written = found[0], [folder / "grid.png"]
    rows = [_row_label(request, first.requests) for request in first.requests]
    columns = [grid.Column("base", [cell.path for cell in first.bench.base.cells], apart=True)]
    for each in found:
        measurement = each.by_strength[each.usual]
        notes = [] if each.usual == 1 else [f"strength {each.usual:g}"]
        columns.append(
            grid.Column(each.candidate.label, [cell.path for cell in measurement.cells], [*notes, *_notes(measurement)])
        )
    grid.write_grid(columns, rows, written[0], title=" · ".join(each.candidate.label for each in found))
    strengths = sorted({strength for each in found for strength in each.by_strength})
    if len(strengths) > 1:
        written.append(folder / "strengths.png")
        index = next((n for n, request in enumerate(first.requests) if request.prompt.triggered), 0)
        sheet = [grid.Column("base", [each.bench.base.cells[index].path for each in found], apart=True)]
        for strength in strengths:
            pictures = [m.cells[index].path if (m := each.by_strength.get(strength)) else None for each in found]
            sheet.append(grid.Column(f"strength {strength:g}", pictures))
        title = _row_label(first.requests[index], first.requests)
        grid.write_grid(sheet, [each.candidate.label for each in found], written[1], title=title)
    return written


def _difference(name: str, apart: Estimate) -> list[Text]:
    text = f"{apart.value:+.{DECIMALS}f}"
    if apart.low is None or apart.high is None:
        return [Text(text), Text("no interval: one prompt and one seed", "dim")]
    text += f" [{apart.low:+.{DECIMALS}f}, {apart.high:+.{DECIMALS}f}]"
    if apart.low <= 0 <= apart.high:
        return [Text(text), Text("same", "dim")]
    better = (apart.value < 0) == (METRICS[name].direction == "minimize")
    return [Text(text), Text("better", "green") if better else Text("worse", "red")]


def _row_label(request: Request, requests: Sequence[Request]) -> str:
    several = len({each.prompt.seed for each in requests}) > 1
    return f"{request.prompt.text} (seed {request.prompt.seed})" if several else request.prompt.text


def _notes(measurement: Measurement) -> list[str]:
    named = [name for name in ("image/fidelity", "image/drift") if name in measurement.metrics]
    return [f"{METRICS[name].label} {measurement.metrics[name]:.3f}" for name in named]
