"""`lorasweep trigger` without its command line: draws, measures, and has the record keep what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.console.lines import echo
from lorasweep.data.captions import has_trigger
from lorasweep.errors import UserError
from lorasweep.evaluation.asking import EvaluationOptions
from lorasweep.evaluation.bench import Data
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.cells import Cell
from lorasweep.evaluation.drawing import Drawer, changed_nothing
from lorasweep.evaluation.evaluate import OpenBenches, progress_of_drawing
from lorasweep.evaluation.trigger.asking import TriggerQuestion
from lorasweep.evaluation.trigger.figures import Scores, figures_of, table_of
from lorasweep.evaluation.weights import WeightsFile
from lorasweep.features.lazy_image import LazyImage
from lorasweep.features.model import FeatureModel
from lorasweep.features.opening import open_models
from lorasweep.metrics.evidence import Evidence, RealImage, References, SampleImage
from lorasweep.metrics.fidelity import FIDELITY
from lorasweep.metrics.images import feature_precision
from lorasweep.runs import lock, paths
from lorasweep.runs.record import Record, now
from lorasweep.runs.trigger_record import TriggerAnalysis, TriggerFigure
from lorasweep.schema import Config
from lorasweep.text.lines import WARNING

TITLE = "The strength of a theme cannot be measured"
HELDOUT, TRAINING = "held-out", "training"


@dataclass(frozen=True)
class TriggerResult:
    """A analysis of a trigger.

    Attributes:
        candidate: whose trigger it is.
        question: what was drawn.
        analysis: what came of it.
        anew: whether it was measured now; else its record had it.
    """

    candidate: Candidate
    question: TriggerQuestion
    analysis: TriggerAnalysis
    anew: bool

    @property
    def folder(self) -> Path:
        """Where its picture belongs: the version's folder; of a file from elsewhere the output root."""
        if self.candidate.record is not None:
            return self.candidate.record.folder
        return Path(self.question.config.output_root)

    @property
    def grid(self) -> Path:
        """The path of its picture: another analysis has another one."""
        decided = json.dumps([self.analysis.weights, self.analysis.settings], sort_keys=True)
        return paths.trigger_grid(self.folder, hashlib.sha256(decided.encode()).hexdigest()[:12])


def analyse_trigger(candidate: Candidate, asked: EvaluationOptions, question: TriggerQuestion) -> TriggerResult:
    """Draw and measure what a question asks for; what was measured before, under the same settings, is in the record.

    Strength 1 is always among the strengths, as shares are of what it brings.

    Args:
        candidate: whose trigger it is.
        asked: how it is looked at.
        question: what is drawn.

    Raises:
        UserError: the base, the weights, a feature model or the theme's images cannot be had.
        OSError: the disk is full or the like.
    """
    config, opened = question.config, OpenBenches()
    if not config.features.models:
        raise UserError("nothing sees the pictures: give a feature model, --features clip_l or toy", title=TITLE)
    drawer = opened.drawer(config)
    weights, data = opened.weights(candidate, config), Data.of(config, drawer.base)
    real, kind = _references(data)
    strengths = sorted({1.0, *filter(None, asked.strengths_of(candidate))})
    settings = question.plain() | _settings(config, drawer, data, kind, strengths)
    if (known := _earlier(candidate, weights.sha256, settings)) is not None:
        return TriggerResult(candidate, question, known, anew=False)
    cells = _draw(candidate, drawer, weights, question, strengths)
    analysis = TriggerAnalysis(
        epoch=candidate.epoch,
        weights=weights.sha256,
        settings=settings,
        prompts=question.prompts,
        seeds=question.seeds,
        captions=len(data.references.training),
        called=sum(has_trigger(each.caption, config.dataset.trigger) for each in data.references.training),
        figures=_measure(config, drawer, question, cells, real),
        finished=now(),
    )
    if candidate.record is not None:
        _add(candidate.record, analysis)
    return TriggerResult(candidate, question, analysis, anew=True)


def _references(data: Data) -> tuple[Sequence[RealImage], str]:
    """Return the theme's images, and of which kind they are."""
    for images, kind in ((data.references.heldout, HELDOUT), (data.references.training, TRAINING)):
        if images:
            return images, kind
    reason = f" ({data.problem})" if data.problem else ""
    raise UserError(
        f"there are no images of the theme to compare with{reason}: give their folder, --set dataset.path=FOLDER",
        title=TITLE,
    )


def _settings(config: Config, drawer: Drawer, data: Data, kind: str, strengths: Sequence[float]) -> dict[str, Any]:
    """Return what beside the question and the weights decides the figures."""
    base_key = drawer.base_key
    return {
        "base": base_key.base,
        "sampler": list(base_key.sampler),
        "precision": base_key.precision,
        "max_tokens": base_key.max_tokens,
        "features": config.features.models[0],
        "references": kind,
        "dataset": data.sha256,
        "heldout": data.heldout_sha256,
        "strengths": list(strengths),
    }


def _earlier(candidate: Candidate, sha256: str, settings: Mapping[str, Any]) -> TriggerAnalysis | None:
    """Return what was measured of the same weights under the same settings; None where that never was."""
    for entry in candidate.record.triggers if candidate.record is not None else ():
        if entry.weights == sha256 and entry.settings == settings:
            return entry
    return None


def _add(record: Record, analysis: TriggerAnalysis) -> None:
    """Write an analysis into the record of its version, behind those that are there."""
    with lock.take(record.folder):
        current = Record.read(record.folder)
        current.triggers = [*current.triggers, analysis]
        current.write()


CellsByPosition = dict[tuple[str, float], list[Cell]]
"""The cells of each position at each strength; strength 0 is the base."""


def _draw(
    candidate: Candidate, drawer: Drawer, weights: WeightsFile, question: TriggerQuestion, strengths: Sequence[float]
) -> CellsByPosition:
    """Draw the prompts of every position on the base and at every strength."""
    requests = [each for of_position in question.requests.values() for each in of_position]
    cells: CellsByPosition = {}
    for strength in (0.0, *strengths):
        title = f"{candidate.label} at {strength:g}" if strength else "the base"
        applied = [(weights, strength)]
        with progress_of_drawing(title, drawer.missing(requests, applied)) as advance:
            found = drawer.draw(requests, applied, advance)
        if changed_nothing(found):
            echo(f"{WARNING}{title} CHANGED NOTHING: every picture is the base's own, pixel for pixel")
        following = iter(found)
        for position, of_position in question.requests.items():
            cells[position, strength] = [next(following) for _ in of_position]
    return cells


def _measure(
    config: Config, drawer: Drawer, question: TriggerQuestion, cells: CellsByPosition, real: Sequence[RealImage]
) -> list[TriggerFigure]:
    """Return the figures of all positions and strengths but 0."""
    [model] = open_models(config.features.models[:1])
    model.to(drawer.base.device, feature_precision(config, drawer.base.device))
    scores = {}
    for (position, strength), own in cells.items():
        if strength:
            prompts = [each.prompt for each in question.requests[position]]
            samples, base = (
                [
                    SampleImage(LazyImage(cell.pixels, cell.image), prompt)
                    for cell, prompt in zip(of, prompts, strict=True)
                ]
                for of in (own, cells[position, 0.0])
            )
            scores[position, strength] = _scores(model, samples, base, question.rows, real)
    found = list(figures_of(scores))
    for figure in found:
        figure.cells = [cell.digest for cell in cells[figure.position, figure.strength]]
        figure.base_cells = [cell.digest for cell in cells[figure.position, 0.0]]
    return found


def _scores(
    model: FeatureModel,
    samples: Sequence[SampleImage],
    base: Sequence[SampleImage],
    rows: Sequence[int],
    real: Sequence[RealImage],
) -> Scores:
    """Return how alike pictures of one position and the theme's images are: their fidelity, one by one."""
    figures = FIDELITY.measure(Evidence(samples, base, References(heldout=real)), model)
    assert figures is not None
    indices = range(len(samples))
    return Scores(
        table_of(rows, [figures.scores[index] for index in indices]),
        table_of(rows, [figures.base_scores[index] for index in indices]),
    )
