"""What was measured of a finished version is told to its trackers, and to the study that it is a trial of."""

from __future__ import annotations

from pathlib import Path

from lorasweep.console.lines import echo
from lorasweep.errors import UserError
from lorasweep.evaluation.cells import Cells
from lorasweep.runs.record import Evaluation, Record
from lorasweep.schema import Config
from lorasweep.tracking.group import log_evaluation
from lorasweep.tracking.tracker import Tracked

EVALUATIONS = "evaluations"
"""The study's attribute: by the number of the trial, a list of what was measured."""


def report_evaluation(record: Record, config: Config, evaluation: Evaluation) -> None:
    """Tell trackers and study.

    Args:
        record: of the version.
        config: under which it was measured; its trackers are told.
        evaluation: what was measured.
    """
    step = next((entry.step for entry in record.epochs if entry.epoch == evaluation.epoch), 0)
    trial = {"study": record.trial.study, "number": record.trial.number} if record.trial is not None else None
    tracked = Tracked(config, record.folder, record.version, echo, None, "evaluate", trial)
    cells = Cells(config.output_root)
    images = {
        f"samples/{place} {request['prompt']} (seed {request['seed']})": path
        for place, (request, digest) in enumerate(zip(evaluation.settings["requests"], evaluation.cells, strict=True))
        if (path := cells.path(digest)).exists()
    }
    about = {"epoch": float(evaluation.epoch or 0), "evaluate/strength": evaluation.strength}
    log_evaluation(tracked, {**about, "evaluate/distance": evaluation.distance, **evaluation.metrics}, images, step)
    if record.trial is not None:
        _report_to_study(record.trial.study, record.trial.number, evaluation, Path(config.output_root))


def _report_to_study(name: str, number: int, evaluation: Evaluation, output_root: Path) -> None:
    """Add an evaluation to a study's; a study that is kept elsewhere is not looked for."""
    from lorasweep.search import lookup
    from lorasweep.search.settings import FINALS

    try:
        found = lookup.find_study(name.removesuffix(FINALS), output_root)
    except UserError:
        return
    study = found.finals if name.endswith(FINALS) else found.study
    if study is None:
        return
    known = dict(study.user_attrs.get(EVALUATIONS, {}))
    about = {"epoch": evaluation.epoch, "strength": evaluation.strength, "finished": evaluation.finished}
    metrics = {name: value for name, value in evaluation.metrics.items() if value == value}
    known[str(number)] = [*known.get(str(number), []), {**about, "metrics": metrics}]
    study.set_user_attr(EVALUATIONS, known)
