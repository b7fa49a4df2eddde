"""All trackers of one version as one, so that the training loop logs once and never fails because of a tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorasweep.runs import paths
from lorasweep.text.exceptions import first_line
from lorasweep.tracking.jsonl import JsonLines
from lorasweep.tracking.tracker import PrintLine, Tracked, Tracker, kinds, split_key


class Trackers:
    """Fans out to metrics.jsonl, whose errors surface, and to other trackers, whose errors are reported once.

    Args:
        rows: metrics.jsonl; an OSError of it (a full disk) stops the version.
        others: display name -> tracker; one that raises is reported through `print_line` and dropped.
        print_line: tells the user one line.
    """

    def __init__(self, rows: JsonLines, others: Mapping[str, Tracker], print_line: PrintLine) -> None:
        self._rows = rows
        self._others = dict(others)
        self._print_line = print_line
        self._finished = False

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics at an optimizer step (see `Tracker.metrics`).

        Raises:
            OSError: metrics.jsonl cannot be written.
        """
        self._rows.metrics(values, step)
        self._each(lambda tracker: tracker.metrics(values, step))

    def replay(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log rows that metrics.jsonl holds already to the other trackers, as far as they lack them.

        A continued version's new trackers lack all of its earlier part, W&B what a killed process had not yet written.
        """

        def log(tracker: Tracker) -> None:
            for row in rows:
                step, values = row["step"], {name: value for name, value in row.items() if value is not None}
                if not all(tracker.has(name, step) for name in values):
                    tracker.metrics({name: value for name, value in values.items() if name != "step"}, step)

        self._each(log)

    def replay_images(self, images: Mapping[str, Path], step: int) -> None:
        """Do as much for PNG files (see `Tracker.images`)."""

        def log(tracker: Tracker) -> None:
            if not all(tracker.has(split_key(name)[0], step) for name in images):
                tracker.images(images, step)

        self._each(log)

    def images(self, images: Mapping[str, Path], step: int) -> None:
        """Log PNG files at an optimizer step (see `Tracker.images`)."""
        self._each(lambda tracker: tracker.images(images, step))

    def weights(self, path: Path, aliases: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Log a weights file (see `Tracker.weights`)."""
        self._each(lambda tracker: tracker.weights(path, aliases, metadata))

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """Close every tracker; a second call (the clean-up after an error) does nothing."""
        if not self._finished:
            self._finished = True
            self._each(lambda tracker: tracker.finish(status, summary))
            self._rows.close()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._others.items()):
            try:
                call(tracker)
            except Exception as error:
                del self._others[name]
                self._print_line(f"{name} stopped logging, the training goes on: {first_line(error)}")


def open_trackers(tracked: Tracked) -> Trackers:
    """Open the trackers that a version's config asks for; one that cannot be opened is reported and left out.

    What was logged beyond the step that it is resumed at is dropped (metrics.jsonl), hidden (TensorBoard) or logged
    again under the same run id (W&B).

    Args:
        tracked: the version.

    Raises:
        OSError: metrics.jsonl cannot be written.
    """
    others: dict[str, Tracker] = {}
    rows, wanted = JsonLines(paths.metrics(tracked.folder), tracked.resumed_step), tracked.config.tracker
    for name, kind in kinds(wanted.others).items():
        if not kind.is_on(wanted) and name not in wanted.others:
            continue
        try:
            tracker = kind.open(tracked)
        except Exception as error:
            tracked.print_line(f"{kind.title} is off, the training goes on without it: {first_line(error)}")
        else:
            if tracker is not None:
                others[kind.title] = tracker
    return Trackers(rows, others, tracked.print_line)


def log_evaluation(tracked: Tracked, metrics: Mapping[str, float], images: Mapping[str, Path], step: int) -> None:
    """Log what was measured of a finished version, as a run of its own; a tracker that fails is reported.

    Args:
        tracked: the version, with `job_type` evaluate.
        metrics: by name.
        images: as `Tracker.images` takes them.
        step: optimizer steps of the epoch that was measured.
    """
    wanted = tracked.config.tracker
    for name, kind in kinds(wanted.others).items():
        if not kind.takes_evaluations or not (kind.is_on(wanted) or name in wanted.others):
            continue
        try:
            if (tracker := kind.open(tracked)) is not None:
                tracker.metrics(metrics, step)
                tracker.images(images, step)
                tracker.finish("complete", metrics)
        except Exception as error:
            tracked.print_line(f"{kind.title} has not logged the evaluation: {first_line(error)}")


def mark_best(folder: Path, others: Sequence[str], print_line: PrintLine) -> None:
    """Let every tracker that knows a best version of a study take it to be this one.

    Args:
        folder: the version folder of the best version, which has ended.
        others: `tracker.others` of the study's config.
        print_line: tells the user one line.
    """
    for kind in kinds(others).values():
        kind.mark_best(folder, print_line)
