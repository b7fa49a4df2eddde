"""A trigger study as people read it: a table, a picture, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorasweep.evaluation.cells import Cells
from lorasweep.evaluation.table import INTERVALS
from lorasweep.evaluation.trigger.advice import Finding, Ways, share_of
from lorasweep.evaluation.trigger.positions import TITLES
from lorasweep.evaluation.trigger.study import HELDOUT, Studied
from lorasweep.pictures.grid import Column, write_grid
from lorasweep.runs import command_lines as commands
from lorasweep.runs import ledger
from lorasweep.runs.trigger_record import TriggerStudy
from lorasweep.text.shell import shell_quoted
from lorasweep.text.values import counted

COLUMNS = 8
"""Of the picture at most, the base's among them."""


def ways_of(studied: Studied) -> Ways:
    """Return the commands that advice on a study is given with.

    Of a file from elsewhere nobody knows how it was trained: the way to train it again begins with its recipe.

    Args:
        studied: whose.
    """
    candidate, config = studied.candidate, studied.question.config
    record, root = candidate.record, config.output_root
    name = shell_quoted(candidate.text) + ("" if root == "outputs" else f" --output-root {shell_quoted(root)}")
    recipe = f"lorasweep recipe {shell_quoted(candidate.text)}"
    tokens = ["dataset.keep_tokens=0"] if config.dataset.keep_tokens else []
    return Ways(
        again=lambda changes: recipe if record is None else commands.train(commands.changed(record.overrides, changes)),
        longer=recipe if record is None else ledger.longer(record, root),
        study=lambda options: f"lorasweep trigger {name} {options}",
        use=lambda strength: (
            f"lorasweep comfyui {name} --strengths {strength:g}"
            if record is not None
            else f"lorasweep evaluate {name} --strengths {strength:g}"
        ),
        shuffled=["dataset.shuffle_tags=true", *tokens],
    )


def table_lines(study: TriggerStudy) -> list[str]:
    """Return the table: a row for each place, for each strength the difference to the base and its share.

    Args:
        study: what was measured.
    """
    strengths = study.strengths
    rows = [["", *(f"strength {strength:g}" for strength in strengths)]]
    for place, title in TITLES.items():
        found = [study.at(place, strength) for strength in strengths]
        if any(found):
            rows.append([title, *("" if each is None else f"{each.delta}  {share_of(each):>5}" for each in found)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def note_lines(study: TriggerStudy) -> Iterator[str]:
    """Yield what a reader of the table must know.

    Args:
        study: what was measured.
    """
    yield (
        f"nearness to the theme's {study.settings['references']} images (cosine similarity seen by "
        f"{study.settings['features']}) less the base's at the same prompts and seeds; beside it the share of what the "
        "trigger brings at the start at strength 1"
    )
    if study.settings["references"] != HELDOUT:
        yield "no image is held out: these were trained on, and a version that copies them comes out best"
    yield f"{counted(study.prompts, 'prompt')} with {counted(study.seeds, 'seed')} each. {INTERVALS}"
    if study.prompts < 4:
        yield (
            "with fewer than four prompts the intervals are too narrow: of simulated ones of two prompts as few as 77% "
            "held the true value. More prompts: --prompts-file"
        )


def advice_lines(found: Sequence[Finding]) -> Iterator[str]:
    """Yield findings, each with the keys to change and the commands to type.

    Args:
        found: what a study says.
    """
    for finding in found:
        yield f"{finding.verdict}: {finding.words}"
        if finding.keys:
            yield f"  to change: {', '.join(finding.keys)}"
        yield from (f"  {command}" for command in finding.commands)


def write_picture(studied: Studied) -> Path:
    """Draw places x strengths beside the base, for the first seed of as many prompts as there is room for.

    Args:
        studied: what was drawn.

    Returns:
        Its path; one that is there is left as it is, as it is of the same study.

    Raises:
        OSError: it cannot be written.
    """
    study, path = studied.study, studied.grid
    if path.exists():
        return path
    cells, strengths = Cells(studied.question.config.output_root), study.strengths
    places = [place for place in TITLES if study.at(place) is not None]
    shown = max(1, min(study.prompts, COLUMNS // (1 + len(strengths))))
    columns = []
    for prompt in range(shown):
        first = study.settings["rows"].index(prompt)
        text = studied.question.template(prompt)
        heads: list[float] = [0.0, *strengths]
        for strength in heads:
            figures = [study.at(place, strength or strengths[0]) for place in places]
            digests = [(each.cells if strength else each.base_cells)[first] for each in figures if each is not None]
            columns.append(
                Column(
                    f"strength {strength:g}" if strength else "base",
                    [cells.path(digest) for digest in digests],
                    notes=[text] if not strength else [],
                    apart=shown > 1 and strength == heads[-1],
                )
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = study.settings["requests"][places[0]][0]["prompt"]["seed"]
    title = f"{studied.candidate.label}: {study.settings['trigger']} (seed {seed})"
    rows = [_row_label(study, place) for place in places]
    write_grid(columns, rows, path, title=title, notes="(share of the theme)")
    return path


def _row_label(study: TriggerStudy, place: str) -> str:
    found = study.at(place)
    return TITLES[place] + (f" ({share_of(found)})" if found is not None and found.share is not None else "")


def study_as_json(studied: Studied, found: Sequence[Finding], picture: Path) -> dict[str, Any]:
    """Return a study as JSON has it.

    Args:
        studied: what was measured.
        found: what it says.
        picture: path of its grid.
    """
    candidate, cells = studied.candidate, Cells(studied.question.config.output_root)
    figures = [
        {
            **each.plain(),
            "cells": [str(cells.path(digest)) for digest in each.cells],
            "base_cells": [str(cells.path(digest)) for digest in each.base_cells],
        }
        for each in studied.study.figures
    ]
    return {
        "candidate": candidate.text,
        "label": candidate.label,
        "file": str(candidate.file),
        "record": str(candidate.record.folder / "record.json") if candidate.record else None,
        **studied.study.plain(),
        "figures": figures,
        "findings": [asdict(finding) for finding in found],
        "grid": str(picture),
        "measured_now": studied.anew,
    }
