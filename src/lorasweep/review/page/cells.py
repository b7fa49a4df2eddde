"""The pictures of a version: samples of its training, and what evaluations drew later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorasweep.evaluation.cells import Cells
from lorasweep.pictures.prompts import prompts_of
from lorasweep.review.page.measures import evaluated
from lorasweep.review.page.model import BASE, PageCell
from lorasweep.runs import paths
from lorasweep.runs.record import Evaluation, Record
from lorasweep.schema import schema_keys


def page_cells(record: Record, version: str, output_root: Path) -> Iterator[PageCell]:
    """Yield the pictures that are there; those of evaluations last, for they stand in the place of samples alike.

    Args:
        record: of the version.
        version: its id on the page.
        output_root: folder of all versions.
    """
    yield from _samples(record, version)
    store = Cells(output_root)
    for evaluation in record.evaluations:
        yield from _evaluated(evaluation, record, version, store)


def _samples(record: Record, version: str) -> Iterator[PageCell]:
    keys = schema_keys()
    prompts, seeds, trigger = (
        record.setting(keys[key]) for key in ("sampling.prompts", "sampling.seeds", "dataset.trigger")
    )
    asked = prompts_of(prompts or [], seeds or [], trigger or "")
    for epoch in paths.sampled_epochs(record.folder, len(asked)):
        for index, prompt in enumerate(asked):
            file = paths.sample(record.folder, epoch, index)
            yield PageCell(version=version, epoch=epoch, prompt=prompt.text, seed=prompt.seed, file=file)


def _evaluated(evaluation: Evaluation, record: Record, version: str, store: Cells) -> Iterator[PageCell]:
    own = evaluation.epoch if evaluation.epoch is not None else record.selected_epoch
    requests = evaluation.settings.get("requests", [])
    scores = {name: measure.value for name, measure in evaluated(evaluation).items()}
    for digests, epoch in ((evaluation.base_cells, BASE), (evaluation.cells, own)):
        # A record that a hand has edited may have fewer of one than of the other.
        for digest, request in zip(digests, requests, strict=False):
            cell = store.get(digest)
            if cell is None or epoch is None:  # cleaned away
                continue
            applied = epoch != BASE
            yield PageCell(
                version=version,
                epoch=epoch,
                prompt=str(request.get("prompt", "")),
                seed=int(request.get("seed", 0)),
                file=cell.path,
                strength=evaluation.strength if applied else 1.0,
                weights=evaluation.weights if applied else None,
                changed=cell.distance,
                scores=scores if applied else {},
            )
