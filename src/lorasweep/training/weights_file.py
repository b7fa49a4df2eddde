"""The weights file of an epoch: a LoRA or a whole checkpoint, with everything that is known about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from importlib.metadata import version as package_version
from pathlib import Path

import torch

from lorasweep.export.checkpoint import write_checkpoint
from lorasweep.export.metadata import Folder, TrainingFacts, metadata
from lorasweep.export.weights import export_tensors, write_weights
from lorasweep.families.known import family_of
from lorasweep.families.load import load_base
from lorasweep.optim.warmup import warmup_steps
from lorasweep.runs.record import Record
from lorasweep.schema import BaseModelConfig
from lorasweep.training.version import Version


def write_epoch_weights(path: Path, version: Version, record: Record, finished: str) -> None:
    """Write the trained weights as they are now to `path`.

    Args:
        path: the file.
        version: what is written.
        record: its record, for when it started and its overrides.
        finished: now, ISO 8601.

    Raises:
        UserError: a weight is not finite, or too large for fp16.
        OSError: the disk is full or the like.
    """
    config, plan, dataset = version.config, version.plan, version.dataset
    folders = _folders(dataset.folders())
    regularisation = _folders(dataset.folders(regularisation=True))
    base_file, vae_file = (version.base.file_hashes.get(name) for name in ("base", "vae"))
    facts = TrainingFacts(
        output_name=f"{config.name}_v{version.number}",
        session=f"{record.started} {config.name} v{version.number}",
        started=datetime.fromisoformat(record.started),
        finished=datetime.fromisoformat(finished),
        epoch=version.epoch,
        step=version.step,
        epochs=plan.total_epochs,
        total_steps=plan.total_steps,
        warmup_steps=warmup_steps(config.scheduler, plan.total_steps),
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
        base=version.base.identity,
        base_name=Path(version.base.path).name if config.base_model.path else "lorasweep toy base",
        base_sha256=version.base.sha256,
        base_file_sha256=base_file.sha256 if base_file else None,
        base_file_legacy_hash=base_file.legacy if base_file else None,
        vae_name=Path(config.base_model.vae_path).name if config.base_model.vae_path else None,
        vae_file_sha256=vae_file.sha256 if vae_file else None,
        vae_file_legacy_hash=vae_file.legacy if vae_file else None,
        dataset_sha256=dataset.sha256,
        started_from_sha256=version.started_from,
        overrides=record.overrides,
        program_version=package_version("lorasweep"),
    )
    with version.state.averaged():
        if config.network.type == "full":
            write_checkpoint(path, version.base.file_tensors(), metadata(config, facts))
        else:
            tensors = export_tensors(version.adapter.state(), config.network, version.base.naming)
            write_weights(path, tensors, metadata(config, facts))


def write_diffusers_folder(folder: Path, weights: Path, config: BaseModelConfig) -> None:
    """Write a whole checkpoint of this run as a diffusers folder too, in fp16.

    Args:
        folder: appears whole or not at all.
        weights: the single file.
        config: the base that was trained, whose configs and tokenizers the folder gets.

    Raises:
        UserError: the file is damaged. OSError: the disk is full or the like.
    """
    found = replace(
        config,
        path=str(weights),
        vae_path=None,
        config_path=family_of(config).files.config_source(config),
        variant=None,
    )
    load_base(found, "cpu", torch.float16).write_folder(folder)


def _folders(found: dict[str, dict[str, int]]) -> dict[str, Folder]:
    return {name: Folder(entry["n_repeats"], entry["img_count"]) for name, entry in found.items()}
