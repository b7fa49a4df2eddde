"""Results of evaluations, kept in the record of the version: under their settings, never over older ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lorasweep.evaluation.bench import Bench, Measurement
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.cell_keys import Request
from lorasweep.runs import lock
from lorasweep.runs.record import Evaluation, Record, now
from lorasweep.schema import Config


def evaluation_settings(config: Config, requests: Sequence[Request], bench: Bench) -> dict[str, Any]:
    """Return all that decides what an evaluation measures, beside the weights; equal ones can be compared.

    Args:
        config: how it is measured.
        requests: what is drawn.
        bench: that measures it.
    """
    base_key, evaluation = bench.base_key, config.evaluation
    loss = {name: getattr(evaluation, name) for name in ("timesteps", "bins", "max_images", "seed")}
    return {
        "base": base_key.base,
        "sampler": list(base_key.sampler),
        "precision": base_key.precision,
        "max_tokens": base_key.max_tokens,
        "features": list(config.features.models),
        "loss": loss if evaluation.heldout_loss else None,
        "dataset": bench.data.sha256,
        "heldout": bench.data.heldout_sha256,
        "trigger": config.dataset.trigger,
        "requests": [_plain(request) for request in requests],
    }


def evaluation_of(
    candidate: Candidate, sha256: str, strength: float, settings: Mapping[str, Any], bench: Bench, found: Measurement
) -> Evaluation:
    """Return a measurement as records keep it.

    Args:
        candidate: what was measured.
        sha256: of its weights (`weights.weights_digest`).
        strength: that it was put on with.
        settings: as `evaluation_settings` gives them.
        bench: that measured it.
        found: what it measured.
    """
    return Evaluation(
        epoch=candidate.epoch,
        weights=sha256,
        strength=strength,
        settings=dict(settings),
        metrics=dict(found.metrics),
        base=dict(bench.base.metrics),
        distance=found.distance,
        cells=[cell.digest for cell in found.cells],
        base_cells=[cell.digest for cell in bench.base.cells],
        seconds=round(found.seconds, 3),
        finished=now(),
    )


def earlier(record: Record, sha256: str, strength: float, settings: Mapping[str, Any]) -> Evaluation | None:
    """Return what was measured of the same weights under the same settings; None where that never was.

    Args:
        record: of the version.
        sha256: of its weights.
        strength: that they were put on with.
        settings: as `evaluation_settings` gives them.
    """
    for entry in record.evaluations:
        if (entry.weights, entry.strength) == (sha256, strength) and entry.settings == settings:
            return entry
    return None


def add(record: Record, evaluation: Evaluation) -> Record:
    """Write an evaluation into the record of its version, behind those that are there; return the record as it is now.

    Args:
        record: of the version, maybe not of this moment.
        evaluation: to add.

    Raises:
        UserError: the version is being trained.
        OSError: the disk is full or the like.
    """
    with lock.take(record.folder):
        current = Record.read(record.folder)
        current.evaluations = [*current.evaluations, evaluation]
        current.write()
    return current


def _plain(request: Request) -> dict[str, Any]:
    prompt = {"prompt": request.prompt.text, "seed": request.prompt.seed, "triggered": request.prompt.triggered}
    return prompt | {
        "negative_prompt": request.negative_prompt,
        "width": request.width,
        "height": request.height,
        "steps": request.steps,
        "guidance": float(request.guidance),
    }
