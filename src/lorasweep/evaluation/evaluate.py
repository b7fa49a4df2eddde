"""`lorasweep evaluate` without its command line: candidates are drawn and measured; their records keep the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from lorasweep.console.lines import echo, phase
from lorasweep.evaluation import results
from lorasweep.evaluation.asking import EvaluationOptions
from lorasweep.evaluation.bench import Bench, Measurement
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.cell_keys import Request
from lorasweep.evaluation.drawing import Advance, Drawer
from lorasweep.evaluation.weights import WeightsFile, read
from lorasweep.families.device import check_device
from lorasweep.families.opened import OpenedBase
from lorasweep.runs.record import Evaluation
from lorasweep.schema import Config
from lorasweep.text.lines import WARNING


@dataclass(frozen=True)
class Evaluated:
    """What is known of a candidate at one strength.

    Attributes:
        candidate: what was measured.
        config: under which.
        evaluation: what came of it.
        anew: whether it was measured now; else its record had it.
    """

    candidate: Candidate
    config: Config
    evaluation: Evaluation
    anew: bool


def evaluate(
    candidates: Sequence[Candidate], asked: EvaluationOptions, done: Callable[[Evaluated], None] = lambda each: None
) -> list[Evaluated]:
    """Measure candidates at their strengths; what was measured before, under the same settings, is in the record.

    Args:
        candidates: what is measured.
        asked: how.
        done: called after each measurement, once its record has it.

    Raises:
        UserError: a candidate cannot be measured; what was measured before it is kept.
        OSError: the disk is full or the like.
    """
    configs = [asked.config(candidate, candidates) for candidate in candidates]
    requests = [asked.requests(config, configs[0]) for config in configs]
    for note in asked.notes:
        echo(note)
    found: list[Evaluated] = []
    opened = OpenBenches()
    for candidate, config, wanted in zip(candidates, configs, requests, strict=True):
        bench, weights = opened.bench(config, wanted), opened.weights(candidate, config)
        settings = results.evaluation_settings(config, wanted, bench)
        for strength in asked.strengths_of(candidate):
            known = results.earlier(candidate.record, weights.sha256, strength, settings) if candidate.record else None
            evaluation = known or measure_candidate(candidate, weights, strength, settings, bench)[1]
            if known is None and candidate.record is not None:
                results.add(candidate.record, evaluation)
            found.append(Evaluated(candidate, config, evaluation, known is None))
            done(found[-1])
    return found


class OpenBenches:
    """Bases, benches and weights that are open, for candidates that share them."""

    def __init__(self) -> None:
        self._base = OpenedBase()
        self._drawers: dict[str, Drawer] = {}
        self._benches: dict[str, Bench] = {}

    def drawer(self, config: Config) -> Drawer:
        """Return what draws on the base of a config; one base is loaded at a time.

        Args:
            config: checked.

        Raises:
            UserError: the base cannot be had, or is not meant for this machine.
        """
        key = json.dumps([asdict(config.base_model), config.training.mixed_precision, config.dataset.max_tokens])
        if key not in self._drawers:
            check_device(config)
            self._drawers, self._benches = {}, {}  # which hold the base before
            self._drawers[key] = Drawer.open(config, self._base)
        return self._drawers[key]

    def bench(self, config: Config, requests: Sequence[Request]) -> Bench:
        """Return what measures under a config.

        Args:
            config: checked.
            requests: what is drawn.

        Raises:
            UserError: the base or a feature model cannot be had.
        """
        drawer = self.drawer(config)
        measured = {name: value for name, value in asdict(config).items() if name in _MEASURED}
        key = json.dumps([measured, [repr(request) for request in requests]], sort_keys=True)
        if key not in self._benches:
            with progress_of_drawing("the base", drawer.missing(requests)) as advance:
                self._benches[key] = Bench(config, drawer, requests, advance)
            if problem := self._benches[key].data.problem:
                echo(f"{WARNING}without the data, what compares with it is not measured: {problem}")
        return self._benches[key]

    def weights(self, candidate: Candidate, config: Config) -> WeightsFile:
        """Return the weights of a candidate, read for the base of a config; say what of them is not applied.

        Args:
            candidate: not the bare base.
            config: of it.

        Raises:
            UserError: they cannot be read, or are not for this base.
        """
        assert candidate.file is not None
        weights = read(candidate.file, self.drawer(config).base, config.base_model)
        for note in weights.notes:
            echo(f"{WARNING}{candidate.label}: {note}")
        return weights


_MEASURED = ("dataset", "evaluation", "features", "compat", "objective", "further_objectives", "base_model")


@contextmanager
def progress_of_drawing(what: str, missing: int) -> Iterator[Advance]:
    """Show a bar while images are drawn; nothing where there are none to draw.

    Args:
        what: is drawn.
        missing: how many images.
    """
    if not missing:
        yield lambda: None
        return
    with phase(f"drawing {what}", missing) as advance:
        yield advance


def measure_candidate(
    candidate: Candidate, weights: WeightsFile, strength: float, settings: dict[str, object], bench: Bench
) -> tuple[Measurement, Evaluation]:
    """Return what is measured of a candidate at a strength, also as records keep it; warn where it changed nothing.

    Args:
        candidate: what is measured.
        weights: of it.
        strength: that they are put on the base with.
        settings: as `results.evaluation_settings` gives them.
        bench: measures it.
    """
    named = candidate.label + ("" if strength == 1 else f" at {strength:g}")
    with progress_of_drawing(named, bench.missing([(weights, strength)])) as advance:
        found = bench.measure([(weights, strength)], advance)
    evaluation = results.evaluation_of(candidate, weights.sha256, strength, settings, bench, found)
    _warn(candidate, evaluation)
    return found, evaluation


def _warn(candidate: Candidate, evaluation: Evaluation) -> None:
    if evaluation.strength and evaluation.cells and evaluation.distance == 0:
        echo(
            f"{WARNING}{candidate.label} CHANGED NOTHING: every picture at strength {evaluation.strength:g} is the "
            "base's own, pixel for pixel. It is for another base, or it was never trained"
        )
