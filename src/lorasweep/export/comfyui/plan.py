"""What a workflow draws, worked out from a version's record and from what was asked for besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorasweep.errors import Problem, UserError
from lorasweep.export.comfyui.workflow import Helper, Reference, WorkflowPlan
from lorasweep.pictures.prompts import prompts_of
from lorasweep.runs.record import Record
from lorasweep.schema import schema_keys

FAMILY = "sdxl"
"""The family that workflows are written for; another one wants other nodes."""
PUBLISHED = {"stabilityai/stable-diffusion-xl-base-1.0": "sd_xl_base_1.0.safetensors"}
"""The name of the single file that a page of the model hub offers for ComfyUI."""
TOY = "lorasweep_toy.safetensors"
BESIDE_REFERENCE = 0.8
"""Strength of a LoRA beside PuLID or IP-Adapter; the character guide of the seeds says 0.7 to 0.9."""


@dataclass(frozen=True)
class Wishes:
    """What is asked for besides what the record says; empty where the record decides.

    Attributes:
        strengths: of the LoRA.
        prompts: in place of the version's.
        seeds: in place of the version's.
        base: name of the base's file in models/checkpoints.
        vae: name of the VAE's file in models/vae.
        helpers: further LoRAs.
        reference: a picture to follow.
        refiner: name of the refiner's file in models/checkpoints.
    """

    strengths: Sequence[float] = ()
    prompts: Sequence[str] = ()
    seeds: Sequence[int] = ()
    base: str | None = None
    vae: str | None = None
    helpers: Sequence[Helper] = field(default_factory=list)
    reference: Reference | None = None
    refiner: str | None = None


def workflow_plan(record: Record, weights: Path, wishes: Wishes) -> WorkflowPlan:
    """Return what a workflow for a version draws.

    Args:
        record: of the version.
        weights: which of its weights files.
        wishes: what is asked for besides.

    Raises:
        UserError: the base has no name in ComfyUI that is known here, or there is nothing to draw.
    """

    def setting(key: str) -> Any:
        return record.setting(schema_keys()[key])

    is_full = setting("network.type") == "full"
    wrong = list(_problems(record, wishes, is_full))
    texts = list(wishes.prompts) or list(setting("sampling.prompts"))
    seeds = list(wishes.seeds) or list(setting("sampling.seeds"))
    if not texts:
        wrong.append(Problem("the version has no sample prompts: give some with --prompt TEXT"))
    if wrong:
        raise UserError(wrong, title="No workflow can be written")
    usual = [1.0] if wishes.reference is None else [BESIDE_REFERENCE]
    return WorkflowPlan(
        stem=weights.stem,
        checkpoint=weights.name if is_full else _base_file(record, wishes) or TOY,
        lora=None if is_full else weights.name,
        strengths=[1.0] if is_full else list(wishes.strengths) or usual,
        prompts=prompts_of(texts, seeds, setting("dataset.trigger")),
        negative=setting("sampling.negative_prompt"),
        side=setting("dataset.resolution"),
        steps=setting("sampling.steps"),
        guidance=setting("sampling.guidance"),
        vae=None if is_full else _vae_file(record, wishes),
        helpers=wishes.helpers,
        reference=wishes.reference,
        refiner=wishes.refiner,
        velocity=setting("base_model.prediction_type") == "v_prediction",
        zero_snr=setting("base_model.zero_terminal_snr"),
    )


def on_toy(record: Record) -> bool:
    """Return whether a version adapts the toy base, which no ComfyUI has."""
    return record.setting(schema_keys()["base_model.path"]) is None


def _problems(record: Record, wishes: Wishes, is_full: bool) -> list[Problem]:
    found = []
    if record.base.family not in (FAMILY, ""):
        found.append(
            Problem(
                f"base_model.family={record.base.family}: workflows are written for {FAMILY}; build this one by hand"
            )
        )
    if is_full:
        return found
    path = record.setting(schema_keys()["base_model.path"])
    if path is not None and _base_file(record, wishes) is None:
        found.append(
            Problem(
                f"base_model.path={path} is no single file, which is what ComfyUI loads: give --base FILE, the name "
                "of the same base in ComfyUI/models/checkpoints"
            )
        )
    vae = record.setting(schema_keys()["base_model.vae_path"])
    if vae is not None and _vae_file(record, wishes) is None:
        found.append(
            Problem(
                f"base_model.vae_path={vae} is no single file, which is what ComfyUI loads: give --vae FILE, the name "
                "of the same VAE in ComfyUI/models/vae"
            )
        )
    return found


def _base_file(record: Record, wishes: Wishes) -> str | None:
    path = record.setting(schema_keys()["base_model.path"])
    return wishes.base or PUBLISHED.get(str(path)) or _single_file(path)


def _vae_file(record: Record, wishes: Wishes) -> str | None:
    return wishes.vae or _single_file(record.setting(schema_keys()["base_model.vae_path"]))


def _single_file(path: object) -> str | None:
    return Path(str(path)).name if path is not None and str(path).endswith(".safetensors") else None
