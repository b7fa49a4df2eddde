"""The weights file of an epoch: the adapter in kohya's format with everything that is known about it."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from lorasweep.export.metadata import Folder, TrainingFacts, metadata
from lorasweep.export.weights import export_tensors, write_weights
from lorasweep.training import schedules
from lorasweep.training.version import Version


def write_epoch_weights(path: Path, version: Version, record: dict[str, Any], finished: str) -> None:
    """Write the adapter as it is now to `path`.

    Args:
        path: the file. version: what is written. record: its record, for when it started and its overrides.
        finished: now, ISO 8601.

    Raises:
        UserError: a weight is not finite, or too large for fp16.
        OSError: the disk is full or the like.
    """
    config, plan, dataset = version.config, version.plan, version.dataset
    folders = _folders(dataset.folders())
    regularisation = _folders(dataset.folders(regularisation=True))
    facts = TrainingFacts(
        output_name=path.stem,
        session=f"{record['started']} {config.name} v{version.number}",
        started=datetime.fromisoformat(record["started"]),
        finished=datetime.fromisoformat(finished),
        epoch=version.epoch,
        step=version.step,
        epochs=plan.total_epochs,
        total_steps=plan.total_steps,
        warmup_steps=schedules.warmup_steps(config.scheduler, plan.total_steps),
        images=sum(folder.repeats * folder.images for folder in folders.values()),
        validation_images=dataset.heldout_count,
        regularisation_images=sum(folder.repeats * folder.images for folder in regularisation.values()),
        regularisation_folders=regularisation,
        mean_aspect_error=dataset.mean_aspect_error(),
        batches_per_epoch=plan.batches_per_epoch,
        mixed_precision=version.accelerator.mixed_precision,
        folders=folders,
        tag_frequency=dataset.tag_frequency(),
        buckets=dataset.bucket_counts(),
        base_name=Path(version.base.path).name if config.base_model.path else "lorasweep toy base",
        base_sha256=version.base.sha256,
        dataset_sha256=dataset.sha256,
        overrides=record["overrides"],
        program_version=package_version("lorasweep"),
    )
    tensors = export_tensors(version.adapter.state(), config.network, version.base.modules["unet"].config)
    write_weights(path, tensors, metadata(config, facts))


def _folders(found: dict[str, dict[str, int]]) -> dict[str, Folder]:
    return {name: Folder(entry["n_repeats"], entry["img_count"]) for name, entry in found.items()}
