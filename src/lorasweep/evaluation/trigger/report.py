"""A trigger analysis as people read it: a table, a picture, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from lorasweep.evaluation.cells import Cells
from lorasweep.evaluation.table import INTERVALS, align
from lorasweep.evaluation.trigger.advice import TriggerFinding, Ways, share_of
from lorasweep.evaluation.trigger.analysis import HELDOUT, TriggerResult
from lorasweep.evaluation.trigger.positions import TITLES
from lorasweep.pictures.grid import Column, write_grid
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger, paths
from lorasweep.runs.trigger_record import TriggerAnalysis
from lorasweep.text.shell import shell_quoted
from lorasweep.text.values import counted

COLUMNS = 8
"""Of the picture at most, the base's among them."""


def ways_of(result: TriggerResult) -> Ways:
    """Return the commands that advice on an analysis is given with.

    What a version was trained with already is asked for with more weight, or not at all. Where nobody said what the
    trigger is a case of, the command says person.

    Of a file from elsewhere nobody knows how it was trained: the way to train it again begins with its recipe.

    Args:
        result: whose.
    """
    candidate, config = result.candidate, result.question.config
    record, root = candidate.record, config.output_root
    name = shell_quoted(candidate.text) + ("" if root == "outputs" else f" --output-root {shell_quoted(root)}")
    recipe = f"lorasweep recipe {shell_quoted(candidate.text)}"
    loss, data = config.loss, config.dataset
    keeping = ["loss=preservation", f"loss.preservation_class={result.question.class_word or 'person'}"]
    if loss.preservation_class:
        keeping = [f"loss.preservation_weight={2 * loss.preservation_weight:g}"]
    shuffled = [] if data.shuffle_tags else ["dataset.shuffle_tags=true"]
    tokens = ["dataset.keep_tokens=0"] if data.keep_tokens else []
    return Ways(
        again=lambda changes: recipe if record is None else commands.train(commands.changed(record.overrides, changes)),
        longer=recipe if record is None else ledger.longer(record, root),
        analyse=lambda options: f"lorasweep trigger {name} {options}",
        use=lambda strength: (
            f"lorasweep comfyui {name} --strengths {strength:g}"
            if record is not None
            else f"lorasweep evaluate {name} --strengths {strength:g}"
        ),
        preserving=keeping,
        shuffled=[*shuffled, *tokens],
    )


def table_lines(analysis: TriggerAnalysis) -> list[Text]:
    """Return the table: a row for each position, for each strength the difference to the base and its share.

    Args:
        analysis: what was measured.
    """
    strengths = analysis.strengths
    rows = [[Text(), *(cell for strength in strengths for cell in (Text(f"strength {strength:g}", "dim"), Text()))]]
    for position, title in TITLES.items():
        found = [analysis.at(position, strength) for strength in strengths]
        if any(found):
            cells = (
                cell for each in found for cell in ((str(each.delta), share_of(each).rjust(5)) if each else ("", ""))
            )
            rows.append([Text(title, "bold"), *map(Text, cells)])
    return align(rows)


def note_lines(analysis: TriggerAnalysis) -> Iterator[str]:
    """Yield what a reader of the table must know.

    Args:
        analysis: what was measured.
    """
    yield (
        f"nearness to the theme's {analysis.settings['references']} images (cosine similarity seen by "
        f"{analysis.settings['features']}) less the base's at the same prompts and seeds; beside it the share of what "
        "the trigger brings at the start at strength 1"
    )
    if analysis.settings["references"] != HELDOUT:
        yield "no image is held out: these were trained on, and a version that copies them comes out best"
    yield f"{counted(analysis.prompts, 'prompt')} with {counted(analysis.seeds, 'seed')} each. {INTERVALS}"
    if analysis.prompts < 4:
        yield (
            "with fewer than four prompts the intervals are too narrow: of simulated ones of two prompts as few as 77% "
            "held the true value. More prompts: --prompts-file"
        )


def advice_lines(found: Sequence[TriggerFinding]) -> Iterator[str]:
    """Yield trigger_findings, each with the keys to change and the commands to type.

    Args:
        found: what an analysis says.
    """
    for finding in found:
        yield f"{finding.verdict}: {finding.words}"
        if finding.keys:
            yield f"  to change: {', '.join(finding.keys)}"
        yield from (f"  {command}" for command in finding.commands)


def write_trigger_grid(result: TriggerResult) -> Path:
    """Draw positions x strengths beside the base, for the first seed of as many prompts as there is room for.

    Args:
        result: what was drawn.

    Returns:
        Its path; one that is there is left as it is, as it is of the same analysis.

    Raises:
        OSError: it cannot be written.
    """
    analysis, path = result.analysis, result.grid
    if path.exists():
        return path
    cells, strengths = Cells(result.question.config.output_root), analysis.strengths
    positions = [position for position in TITLES if analysis.at(position) is not None]
    count = max(1, min(analysis.prompts, COLUMNS // (1 + len(strengths))))
    columns = []
    for prompt in range(count):
        first = analysis.settings["rows"].index(prompt)
        text = result.question.template(prompt)
        heads: list[float] = [0.0, *strengths]
        for strength in heads:
            figures = [analysis.at(position, strength or strengths[0]) for position in positions]
            digests = [(each.cells if strength else each.base_cells)[first] for each in figures if each is not None]
            columns.append(
                Column(
                    f"strength {strength:g}" if strength else "base",
                    [cells.path(digest) for digest in digests],
                    notes=[text] if not strength else [],
                    apart=count > 1 and strength == heads[-1],
                )
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = analysis.settings["requests"][positions[0]][0]["prompt"]["seed"]
    title = f"{result.candidate.label}: {analysis.settings['trigger']} (seed {seed})"
    rows = [_row_label(analysis, position) for position in positions]
    write_grid(columns, rows, path, title=title, notes="(share of the theme)")
    return path


def _row_label(analysis: TriggerAnalysis, position: str) -> str:
    found = analysis.at(position)
    return TITLES[position] + (f" ({share_of(found)})" if found is not None and found.share is not None else "")


def analysis_as_json(result: TriggerResult, found: Sequence[TriggerFinding], picture: Path) -> dict[str, Any]:
    """Return an analysis as JSON has it.

    Args:
        result: what was measured.
        found: what it says.
        picture: path of its grid.
    """
    candidate, cells = result.candidate, Cells(result.question.config.output_root)
    figures = [
        {
            **each.plain(),
            "cells": [str(cells.path(digest)) for digest in each.cells],
            "base_cells": [str(cells.path(digest)) for digest in each.base_cells],
        }
        for each in result.analysis.figures
    ]
    return {
        "candidate": candidate.text,
        "label": candidate.label,
        "file": str(candidate.file),
        "record": str(paths.record(candidate.record.folder)) if candidate.record else None,
        **result.analysis.plain(),
        "figures": figures,
        "trigger_findings": [asdict(finding) for finding in found],
        "grid": str(picture),
        "measured_now": result.anew,
    }
