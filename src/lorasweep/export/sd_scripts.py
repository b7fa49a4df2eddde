"""What the metadata of kohya's sd-scripts says in the keys of our config, and what it leaves open."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor

from lorasweep.config import CompatConfig
from lorasweep.export.sd_scripts_network import modules_of, network_settings

SCHEDULE_FREE = "adamw_schedule_free"
OFF = ("None", "False", "0", "0.0", "", "{}")


def _flag(text: str) -> bool:
    return text == "True"


def _positive(text: str) -> float | None:
    return float(text) or None


# Settings that mean the same here and there: our key, and how to read their text. "None" leaves our default.
SAME: dict[str, tuple[str, Callable[[str], Any]]] = {
    "ss_output_name": ("name", str),
    "ss_seed": ("seed", int),
    "ss_network_dim": ("network.rank", int),
    "ss_network_alpha": ("network.alpha", float),
    "ss_network_dropout": ("network.dropout", float),
    "ss_scale_weight_norms": ("network.max_norm", _positive),
    "ss_lr_warmup_steps": ("scheduler.warmup_steps", int),
    "ss_batch_size_per_device": ("training.batch_size", int),
    "ss_num_epochs": ("training.epochs", int),
    "ss_gradient_accumulation_steps": ("training.gradient_accumulation", int),
    "ss_gradient_checkpointing": ("training.gradient_checkpointing", _flag),
    "ss_max_grad_norm": ("training.max_grad_norm", float),
    "ss_mixed_precision": ("training.mixed_precision", str),
    "ss_loss_type": ("loss.type", str),
    "ss_huber_schedule": ("loss.huber_schedule", str),
    "ss_huber_c": ("loss.huber_c", float),
    "ss_huber_scale": ("loss.huber_scale", float),
    "ss_prior_loss_weight": ("loss.prior_loss_weight", float),
    "ss_enable_bucket": ("dataset.buckets", _flag),
    "ss_bucket_no_upscale": ("dataset.bucket_no_upscale", _flag),
    "ss_min_bucket_reso": ("dataset.bucket_min", int),
    "ss_max_bucket_reso": ("dataset.bucket_max", int),
    "ss_flip_aug": ("dataset.flip", _flag),
    "ss_shuffle_caption": ("dataset.shuffle_tags", _flag),
    "ss_keep_tokens": ("dataset.keep_tokens", int),
    "ss_max_token_length": ("dataset.max_tokens", int),
    "ss_caption_dropout_rate": ("dataset.caption_dropout", float),
    "ss_caption_tag_dropout_rate": ("dataset.tag_dropout", float),
    "modelspec.trigger_phrase": ("dataset.trigger", str),
}
_ADAM = {"weight_decay": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
_LION = {"weight_decay": 0.0, "beta1": 0.9, "beta2": 0.99, "eps": None}
_SEARCH = {"d0": 1e-6, "d_coef": 1.0, "use_bias_correction": False, "safeguard_warmup": False}
# Their classes: our name, and what the class takes when its arguments do not say. Paging moves memory, not numbers.
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "AdamW": ("adamw", _ADAM),
    "PagedAdamW": ("adamw", _ADAM),
    "AdamW8bit": ("adamw8bit", _ADAM),
    "PagedAdamW8bit": ("adamw8bit", _ADAM),
    "AdamWScheduleFree": (SCHEDULE_FREE, _ADAM | {"weight_decay": 0.0}),
    "Adafactor": ("adafactor", {"weight_decay": 0.0, "beta1": None, "beta2": None, "eps": None}),
    "Lion": ("lion", _LION),
    "Lion8bit": ("lion8bit", _LION),
    "PagedLion8bit": ("lion8bit", _LION),
    "Prodigy": ("prodigy", _ADAM | {"weight_decay": 0.0} | _SEARCH),
}
# Their schedules: our name, and the keys of which the metadata says nothing.
SCHEDULERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cosine": ("cosine", ()),
    "cosine_with_min_lr": ("cosine", ("min_lr_ratio",)),
    "cosine_with_restarts": ("cosine_with_restarts", ("cycles",)),
    "constant": ("constant", ()),
    "constant_with_warmup": ("constant", ()),
    "inverse_sqrt": ("inverse_sqrt", ()),
    "linear": ("linear", ()),
    "polynomial": ("polynomial", ("power",)),
    "warmup_stable_decay": ("warmup_stable_decay", ("decay_ratio", "decay_shape", "min_lr_ratio")),
}
# Kinds of noise; behind each, what says something only where it is on.
NOISE: tuple[tuple[tuple[str, str, Callable[[str], Any]], ...], ...] = (
    (
        ("ss_noise_offset", "loss.noise_offset", float),
        ("ss_noise_offset_random_strength", "loss.noise_offset_random", _flag),
        ("ss_adaptive_noise_scale", "loss.adaptive_noise_scale", float),
    ),
    (
        ("ss_multires_noise_iterations", "loss.multires_iterations", int),
        ("ss_multires_noise_discount", "loss.multires_discount", float),
    ),
    (
        ("ss_ip_noise_gamma", "loss.input_perturbation", float),
        ("ss_ip_noise_gamma_random_strength", "loss.input_perturbation_random", _flag),
    ),
)
# What lorasweep does not do: a file that has one of these on was trained in another way than its recipe
# trains.
UNSUPPORTED = (
    "ss_caption_dropout_every_n_epochs",
    "ss_color_aug",
    "ss_face_crop_aug_range",
    "ss_random_crop",
    "ss_full_fp16",
    "ss_full_bf16",
    "ss_fp8_base",
)


def settings_of(
    stem: str, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that a LoRA of SDXL was trained with, and notes on what the file does not tell.

    Args:
        stem: the file's name without extension, the LoRA's name if the metadata has none.
        metadata: `ss_*` and `modelspec.*`; any of them may be missing.
        tensors: in kohya's format, at least one module.

    Returns:
        settings: our dotted keys -> values; what is not there keeps its default.
        notes: one line each, free text that may hold anything the metadata holds.
    """
    reader = _Reader(metadata, tensors)
    reader.settings["name"] = stem
    reader.read_same()
    reader.read_network()
    reader.read_learning_rates()
    reader.read_optimizer()
    reader.read_schedule()
    reader.read_loss()
    reader.read_dataset()
    reader.read_compat()
    reader.note_unsupported()
    return reader.settings, reader.notes


class _Reader:
    """Settings and notes found so far."""

    def __init__(self, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
        self.metadata = metadata
        self.tensors, self.modules = tensors, modules_of(tensors)
        self.settings: dict[str, Any] = {}
        self.notes: list[str] = []

    def value(self, theirs: str, read: Callable[[str], Any]) -> Any:
        """Return what `theirs` says; None where it says nothing."""
        text = self.metadata.get(theirs, "None")
        if text in ("None", ""):
            return None
        try:
            return read(text)
        except (ValueError, SyntaxError):
            self.notes.append(f"{theirs}={text} could not be read")
            return None

    def set(self, key: str, value: Any, what: str) -> None:
        """Set a key, or note that it keeps its default."""
        if value is None:
            self.notes.append(f"{what}: {key} keeps its default")
        else:
            self.settings[key] = value

    def read_same(self) -> None:
        for theirs, (ours, read) in SAME.items():
            if (value := self.value(theirs, read)) is not None:
                self.settings[ours] = value

    def read_network(self) -> None:
        settings, notes = network_settings(self.metadata, self.tensors, self.settings)
        self.settings |= settings
        self.notes += notes

    def read_learning_rates(self) -> None:
        common, unet = self.value("ss_learning_rate", float), self.value("ss_unet_lr", float)
        self.set("optimizer.lr", common if unet is None else unet, "the learning rate")
        rate = self.value("ss_text_encoder_lr", ast.literal_eval)
        if isinstance(rate, list):
            rate = next(iter(rate), None)  # of a list, networks.lora takes the first for both encoders
        rate = rate if isinstance(rate, int | float) else common
        first, second = (any(name.startswith(te) for name in self.modules) for te in ("lora_te1_", "lora_te2_"))
        self.set("optimizer.text_encoder_lr", rate if first else 0.0, "the text encoders' learning rate")
        if first != second:
            self.set("optimizer.text_encoder_2_lr", rate if second else 0.0, "encoder 2's learning rate")
        if ratios := self.value("ss_network_args", _lora_plus_ratios):
            self.settings["optimizer.lora_plus_ratio"] = ratios[0]
            if ratios[1] != ratios[0]:
                self.notes.append(f"the text encoders' LoRA+ ratio, {ratios[1]}: here all components have one")

    def read_optimizer(self) -> None:
        text = self.metadata.get("ss_optimizer", "unknown")
        name, _, arguments = text.removesuffix(")").partition("(")
        kind = name.rpartition(".")[2]
        ours, defaults = OPTIMIZERS.get(kind, (None, {}))
        self.set("optimizer.name", ours, f"the optimizer (ss_optimizer={text})")
        if ours is None:
            return
        given = _arguments(arguments)
        betas = given.get("betas")
        if isinstance(betas, tuple | list) and len(betas) == 2 and "beta2" in defaults:
            given["beta1"], given["beta2"] = given.pop("betas")
        known = {key: given.pop(key) for key in defaults if isinstance(given.get(key), int | float)}
        self.settings |= {f"optimizer.{key}": value for key, value in (defaults | known).items()}
        if ours == SCHEDULE_FREE:  # sd-scripts gives it no schedule; its warmup is an argument
            self.settings["scheduler.warmup_steps"] = given.pop("warmup_steps", 0)
        if ours == "prodigy" and given.get("decouple") is True:
            del given["decouple"]  # ours always is
        if given:
            self.notes.append(f"what these arguments of the optimizer are here: {given}")

    def read_schedule(self) -> None:
        scheduler = self.metadata.get("ss_lr_scheduler", "unknown")
        if self.settings.get("optimizer.name") == SCHEDULE_FREE:
            scheduler = "constant"
        ours, untold = SCHEDULERS.get(scheduler, (None, ()))
        self.set("scheduler.name", ours, f"the schedule (ss_lr_scheduler={scheduler})")
        self.notes += [f"part of the schedule (ss_lr_scheduler={scheduler}): set scheduler.{key}" for key in untold]
        steps, batches = self.value("ss_max_train_steps", int), self.value("ss_num_batches_per_epoch", int)
        if not steps:
            self.notes.append("the number of steps: set training.epochs or training.max_steps")
            return
        accumulation = self.settings.get("training.gradient_accumulation", 1)
        planned = self.settings.get("training.epochs", 0) * math.ceil((batches or 0) / accumulation)
        if planned != steps:
            self.settings["training.max_steps"] = steps

    def read_loss(self) -> None:
        gamma = self.value("ss_min_snr_gamma", float)  # there 0 is off, here null
        if self.value("ss_debiased_estimation", _flag):
            self.settings["loss.debiased"] = True
            if gamma:
                self.notes.append(f"ss_min_snr_gamma={gamma:g} beside ss_debiased_estimation: here it is one of them")
        elif gamma:
            self.settings["loss.min_snr_gamma"] = gamma
        for kind in NOISE:
            values = {ours: self.value(theirs, read) for theirs, ours, read in kind}
            if values[kind[0][1]]:
                self.settings |= {ours: value for ours, value in values.items() if value is not None}
        predicts_v = self.metadata.get("modelspec.prediction_type") == "v"
        if predicts_v:
            self.settings["base_model.prediction_type"] = "v_prediction"
        if self.value("ss_zero_terminal_snr", _flag):
            if predicts_v:
                self.settings["base_model.zero_terminal_snr"] = True
            else:
                self.notes.append("ss_zero_terminal_snr=True: here it takes a base that predicts velocities")

    def read_dataset(self) -> None:
        self.read_processes()
        sides = [int(number) for number in re.findall(r"\d+", self.metadata.get("ss_resolution", ""))]
        if sides:
            self.settings["dataset.resolution"] = sides[0]
        if len(set(sides)) > 1:
            self.settings["dataset.resolution"] = round(math.sqrt(sides[0] * sides[-1]) / 64) * 64
            self.notes.append(f"its resolution was {sides}; here it is the square of about that area")
        repeats = self.value("ss_dataset_dirs", _repeats) or {}
        if len(set(repeats.values())) == 1:
            self.settings["dataset.repeats"] = next(iter(repeats.values()))
        else:
            self.notes.append(f"one number of repeats; set dataset.repeats (by folder: {repeats or 'unknown'})")
        if "dataset.trigger" not in self.settings and len(repeats) == 1:
            self.settings["dataset.trigger"] = re.sub(r"^\d+_", "", next(iter(repeats))).strip()
            self.notes.append("its trigger; dataset.trigger is a guess from the folder's name")
        if "ss_datasets" in self.metadata:
            self.notes.append(f"how several datasets become one: ss_datasets={self.metadata['ss_datasets']}")
        if self.value("ss_reg_dataset_dirs", _repeats):
            self.notes.append("where its regularisation images are: set dataset.regularisation_path")
        self.notes.append("where its images and captions are: set dataset.path")
        name, sha256 = (self.metadata.get(f"ss_{key}", "unknown") for key in ("sd_model_name", "new_sd_model_hash"))
        self.notes.append(f"where its base is: set base_model.path (name {name}, SHA-256 {sha256})")
        if (vae := self.metadata.get("ss_vae_name", "None")) not in OFF:
            sha256 = self.metadata.get("ss_new_vae_hash", "unknown")
            self.notes.append(f"where its VAE is: set base_model.vae_path (name {vae}, SHA-256 {sha256})")

    def read_compat(self) -> None:
        """Ask for sd-scripts' own ways where it wrote the file, so that the run is repeated."""
        by_us = self.metadata.get("ss_training_comment", "").startswith("lorasweep ")
        if by_us or not any(key.startswith("ss_") for key in self.metadata):
            return
        self.settings |= {f"compat.{way.name}": True for way in fields(CompatConfig)}
        self.settings["compat.frozen_latents"] = self.metadata.get("ss_cache_latents") != "False"
        if not self.value("ss_num_validation_images", int):
            self.notes.append(
                "that it held no image out; here a tenth is, and its epochs are shorter: give others to measure with "
                "dataset.validation_path, or dataset.holdout=0 objective=train/loss evaluation.select_by=last"
            )

    def read_processes(self) -> None:
        """Take the batch of several GPUs together: theirs is that of one."""
        size, total = self.settings.get("training.batch_size", 0), self.value("ss_total_batch_size", int) or 0
        whole = total // self.settings.get("training.gradient_accumulation", 1)
        if size and whole > size:
            self.settings["training.batch_size"] = whole
            self.notes.append(
                f"how many GPUs to use: {whole // size} had {size} images each; a batch here is all of them"
            )

    def note_unsupported(self) -> None:
        for theirs in UNSUPPORTED:
            if (text := self.metadata.get(theirs, "None")) not in OFF:
                self.notes.append(f"{theirs}={text}: lorasweep does not do that")


def _repeats(text: str) -> dict[str, int]:
    """Read {"10_bear": {"n_repeats": 10, "img_count": 8}} as {"10_bear": 10}."""
    try:
        return {name: int(folder["n_repeats"]) for name, folder in json.loads(text).items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(text) from error


def _lora_plus_ratios(text: str) -> tuple[float, float] | None:
    """Read {"loraplus_lr_ratio": "16"}, and what overrules it, as the ratios of the UNet and the text encoders."""
    try:
        arguments = json.loads(text)
        common = arguments.get("loraplus_lr_ratio")
        ratios = [arguments.get(f"loraplus_{part}_lr_ratio", common) for part in ("unet", "text_encoder")]
        return None if ratios == [None, None] else (float(ratios[0] or 1), float(ratios[1] or 1))
    except (AttributeError, TypeError) as error:
        raise ValueError(text) from error


def _arguments(text: str) -> dict[str, Any]:
    """Read `weight_decay=0.1,betas=(0.9, 0.99)`; what is no Python literal stays text."""
    arguments: dict[str, Any] = {}
    for part in re.split(r",\s*(?=\w+=)", text):
        key, _, value = part.partition("=")
        if value:
            try:
                arguments[key.strip()] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                arguments[key.strip()] = value
    return arguments
