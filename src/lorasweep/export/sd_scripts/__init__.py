"""What a LoRA's file says of its training, in the keys of our config: kohya's sd-scripts, or any program's tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from lorasweep.export.layers import FileLayers
from lorasweep.export.sd_scripts.about import About, flag, whole_number
from lorasweep.export.sd_scripts.datasets import as_one_dataset, read_dataset
from lorasweep.export.sd_scripts.loss import read_loss
from lorasweep.export.sd_scripts.network import read_network
from lorasweep.export.sd_scripts.optimizer import read_lora_plus, read_optimizer
from lorasweep.export.sd_scripts.schedule import read_schedule, read_steps
from lorasweep.schema import CompatConfig, schema_keys, slug

LONGEST_NAME = 80  # it begins the names of files

# Settings that mean the same here and there: our key, and how to read their text. "None" leaves our default.
SAME_NAME = ("seed", "training.max_grad_norm", "training.gradient_checkpointing")
SAME: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "ss_mixed_precision": ("training.mixed_precision", str),
    "ss_validate_every_n_epochs": ("evaluation.every_epochs", whole_number),
}


def settings_of(stem: str, metadata: Mapping[str, str], layers: FileLayers) -> About:
    """Return the settings that a LoRA of SDXL was trained with, and notes on what the file does not tell.

    Args:
        stem: the file's name without extension, the LoRA's name if the metadata has none.
        metadata: `ss_*` and `modelspec.*`; any of them may be missing.
        layers: the file's; at least one of a kind that can be trained here.
    """
    texts, notes = as_one_dataset(metadata)
    about = About(texts, notes=notes)
    _read_name(about, stem)
    for name in SAME_NAME:
        if (value := about.stated(schema_keys()[name])) is not None:
            about.settings[name] = value
    for theirs, (ours, read) in SAME.items():
        if (value := about.value(theirs, read)) is not None:
            about.settings[ours] = value
    read_network(about, layers)
    encoders = [
        any(layer.startswith(f"{part.name}.") for layer in layers.tensors)
        for part in layers.naming.parts
        if not part.denoiser
    ]
    optimizer = read_optimizer(about, (encoders[0], encoders[-1]))
    read_lora_plus(about)
    read_steps(about)
    read_schedule(about, optimizer)
    read_loss(about)
    read_dataset(about)
    _read_base(about)
    _read_compat(about)
    about.name_the_rest()
    return about


def _read_name(about: About, stem: str) -> None:
    """Take the LoRA's name as far as it can be a file's."""
    given = about.value("ss_output_name", str) or stem
    names = (re.sub(r"[^\w .-]+", "_", text)[:LONGEST_NAME].strip("_ .-") for text in (given, stem, "LoRA"))
    name = about.settings["name"] = next(name for name in names if slug(name) != "unnamed")
    if name != given:
        about.notes.append(f"its name, as it becomes file names: here it is {name}, there {given}")


def _read_base(about: About) -> None:
    in_8_bits = [about.value(key, flag) for key in ("ss_fp8_base", "ss_fp8_base_unet")]
    if any(in_8_bits):
        about.notes.append("its base in 8 bits (ss_fp8_base): base_model.quantization=int8 comes nearest")
    name, sha256 = (about.value(key, str) or "unknown" for key in ("ss_sd_model_name", "ss_new_sd_model_hash"))
    about.notes.append(f"where its base is: give base_model.path=FILE (name {name}, SHA-256 {sha256})")
    vae, sha256 = about.value("ss_vae_name", str), about.value("ss_new_vae_hash", str) or "unknown"
    if vae:
        about.notes.append(f"where its VAE is: give base_model.vae_path=FILE (name {vae}, SHA-256 {sha256})")


def _read_compat(about: About) -> None:
    """Ask for sd-scripts' own ways where it wrote the file, so that the run is repeated."""
    cached, validated = about.value("ss_cache_latents", flag), about.value("ss_num_validation_images", whole_number)
    if not about.by_sd_scripts:
        return
    about.settings |= {f"compat.{way.name}": True for way in fields(CompatConfig)}
    about.settings["compat.frozen_latents"] = cached is not False
    if not validated:
        about.notes.append(
            "that it held no image out; here a tenth is, and its epochs are shorter: give others to measure with "
            "dataset.validation_path=FOLDER, or dataset.holdout=0 objective=train/loss evaluation.select_by=last"
        )
