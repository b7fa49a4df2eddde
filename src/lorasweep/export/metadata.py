"""What a weights file says about itself, as strings: kohya's `ss_*`, Stability's `modelspec.*`, and our own
keys.

`ss_*` are the keys that managers and hubs read (sd-scripts writes them); a setting that is off is "None", as
there, and a fact that nobody knows is left out. `modelspec.*` follows version 1.0.1 of that specification.
`lorasweep.config` is the whole resolved config, so that a file alone is enough to train it again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lorasweep.export.network import network_metadata
from lorasweep.families.identity import Identity
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.optim.schedules.kind import schedule_kind
from lorasweep.runs.command_lines import without_permissions
from lorasweep.schema import PERMISSIONS, Config, Key, OptimizerConfig, schema_keys, value_at
from lorasweep.text.encoding import all_readable, json_text

if TYPE_CHECKING:
    from torch import Tensor

SECRET = re.compile(r"(^|_)(key|token|secret|password|passwd|credentials?)$", re.IGNORECASE)


class Folder(NamedTuple):
    """One image folder: how often each image is seen per epoch, and how many images it has."""

    repeats: int
    images: int


@dataclass(frozen=True)
class TrainingFacts:
    """What happened, where the config tells only what was wanted. None: unknown, its key is left out.

    Attributes:
        output_name: the version's name, such as `FuzzyBear_v6`. As in sd-scripts all of its epochs have it: user
            interfaces put it into prompts, where the selected file is meant; `epoch` tells them apart.
        session: one id for all files of a run.
        epoch: epochs begun, 1-based.
        step: optimizer steps done.
        epochs: epochs of the whole run.
        total_steps: optimizer steps of the whole run.
        warmup_steps: those of them that the schedule warms up for.
        images: training images per epoch, with repeats.
        validation_images: held-out images.
        regularisation_images: regularisation images per epoch, with repeats.
        batches_per_epoch: batches, not optimizer steps.
        mixed_precision: what was used: "no", "fp16" or "bf16".
        folders: image folders by name (not path).
        regularisation_folders: those of regularisation images.
        tag_frequency: by folder name, how many captions have each tag.
        buckets: images with repeats by (width, height).
        mean_aspect_error: mean |aspect ratio of image - of its bucket|.
        base: what kind of base it is.
        base_name: the base's file or folder name or hub id.
        base_sha256: digest over all weights of the base.
        base_file_sha256: SHA-256 of a single-file base, as A1111 shows it.
        base_file_legacy_hash: A1111's short hash of it: the first 8 hex digits of the SHA-256 of 64 KiB at 1 MiB.
        vae_name: of a VAE that replaced the base's own.
        vae_file_sha256: SHA-256 of its file.
        vae_file_legacy_hash: the short hash of its file.
        dataset_sha256: digest over images and captions.
        started_from_sha256: of the weights file that run started from.
        overrides: command-line overrides.
        program_version: lorasweep's version.
    """

    output_name: str
    session: str
    started: datetime
    finished: datetime
    epoch: int
    step: int
    epochs: int
    total_steps: int
    warmup_steps: int
    images: int
    batches_per_epoch: int
    mixed_precision: str
    folders: Mapping[str, Folder]
    base_sha256: str
    dataset_sha256: str
    program_version: str
    base: Identity
    validation_images: int = 0
    regularisation_images: int = 0
    regularisation_folders: Mapping[str, Folder] = field(default_factory=dict)
    tag_frequency: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    buckets: Mapping[tuple[int, int], int] = field(default_factory=dict)
    mean_aspect_error: float | None = None
    base_name: str | None = None
    base_file_sha256: str | None = None
    base_file_legacy_hash: str | None = None
    vae_name: str | None = None
    vae_file_sha256: str | None = None
    vae_file_legacy_hash: str | None = None
    started_from_sha256: str | None = None
    overrides: Sequence[str] = ()


def metadata(config: Config, facts: TrainingFacts) -> dict[str, str]:
    """Return all metadata of a weights file but its hashes (`hashes` gives those).

    Args:
        config: what the run was started with, resolved: every value is taken literally.
        facts: what came of it.
    """
    values = _run(config, facts) | _stated(config) | _settings(config) | _dataset(config, facts) | _base(config, facts)
    known = {key: _text(value) for key, value in values.items()}
    return all_readable(known | _modelspec(config, facts) | _own(config, facts))


def hashes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes by which A1111 and others recognise a file, whatever is edited into its metadata
    later.

    Both `sshs_` hashes are of the file as it would be with its `ss_*` metadata alone: `sshs_model_hash` is
    the SHA-256 of the tensors' bytes, `sshs_legacy_hash` the first 8 hex digits of the SHA-256 of 64 KiB at 1
    MiB. `modelspec.hash_sha256` is the first one again, as that specification wants it written.
    """
    from safetensors.torch import save

    content = save(dict(tensors), {key: value for key, value in metadata.items() if key.startswith("ss_")})
    header = 8 + int.from_bytes(content[:8], "little")
    model = hashlib.sha256(memoryview(content)[header:]).hexdigest()
    legacy = hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]
    return {"sshs_model_hash": model, "sshs_legacy_hash": legacy, "modelspec.hash_sha256": f"0x{model}"}


def without_secrets(value: Any) -> Any:
    """Return nested dicts and lists without the entries whose key names a secret (`api_key`, `HF_TOKEN`)."""
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items() if not SECRET.search(str(key))}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


def _run(config: Config, facts: TrainingFacts) -> dict[str, Any]:
    return {
        "ss_session_id": facts.session,
        "ss_training_started_at": facts.started.timestamp(),
        "ss_training_finished_at": facts.finished.timestamp(),
        "ss_output_name": facts.output_name,
        "ss_epoch": facts.epoch,
        "ss_steps": facts.step,
        "ss_num_epochs": facts.epochs,
        "ss_max_train_steps": facts.total_steps,
        "ss_lr_warmup_steps": facts.warmup_steps,
        "ss_num_train_images": facts.images,
        "ss_num_validation_images": facts.validation_images,
        "ss_num_reg_images": facts.regularisation_images,
        "ss_num_batches_per_epoch": facts.batches_per_epoch,
        "ss_mixed_precision": facts.mixed_precision,
        "ss_full_fp16": False,
        "ss_full_bf16": False,
        "ss_training_comment": f"lorasweep {facts.program_version}",
    }


def _stated(config: Config) -> dict[str, Any]:
    """The values of single keys (`Key.ss`)."""
    return {key.ss: _none_if_off(key, value_at(config, key.name)) for key in schema_keys().values() if key.ss}


def _none_if_off(key: Key, value: Any) -> Any:
    """sd-scripts' spelling of a number that is off by default: None in the place of 0."""
    return None if not value and value == key.default and key.kind is not bool else value


def _settings(config: Config) -> dict[str, Any]:
    optimizer, loss = config.optimizer, config.loss
    second = optimizer.text_encoder_2_lr
    first = optimizer.text_encoder_lr
    text_lr = first if second is None or second == first else [first, second]
    adapter = network_metadata(config.network)
    lora_plus = {"loraplus_lr_ratio": str(optimizer.lora_plus_ratio)} if optimizer.lora_plus_ratio else {}
    huber = loss.type in ("huber", "smooth_l1")
    return {
        "ss_learning_rate": optimizer.lr,
        "ss_unet_lr": optimizer.lr,
        "ss_text_encoder_lr": text_lr,
        **adapter,
        **({"ss_network_args": adapter["ss_network_args"] | lora_plus} if adapter else {}),
        "ss_optimizer": _optimizer(optimizer),
        "ss_lr_scheduler": schedule_kind(config.scheduler.name).kohya_name(config.scheduler),
        "ss_huber_schedule": loss.huber_schedule if huber else None,
        "ss_huber_c": loss.huber_c if huber else None,
        "ss_huber_scale": loss.huber_scale if huber else None,
        "ss_clip_skip": None,
        "ss_cache_latents": True,
        "ss_fp8_base": False,
    }


def _dataset(config: Config, facts: TrainingFacts) -> dict[str, Any]:
    dataset, batch = config.dataset, config.training.batch_size
    buckets = {
        str(index): {"resolution": list(size), "count": count}
        for index, (size, count) in enumerate(sorted(facts.buckets.items()))
    }
    error = {} if facts.mean_aspect_error is None else {"mean_img_ar_error": facts.mean_aspect_error}
    return {
        "ss_total_batch_size": batch * config.training.gradient_accumulation,
        "ss_resolution": f"({dataset.resolution}, {dataset.resolution})",
        "ss_enable_bucket": dataset.buckets,
        "ss_bucket_no_upscale": dataset.bucket_no_upscale,
        "ss_min_bucket_reso": dataset.bucket_min if dataset.buckets else None,
        "ss_max_bucket_reso": dataset.bucket_max if dataset.buckets else None,
        "ss_bucket_info": {"buckets": buckets, **error},
        "ss_flip_aug": dataset.flip,
        "ss_color_aug": False,
        "ss_random_crop": False,
        "ss_shuffle_caption": dataset.shuffle_tags,
        "ss_keep_tokens": dataset.keep_tokens,
        "ss_max_token_length": dataset.max_tokens,
        "ss_caption_dropout_rate": dataset.caption_dropout,
        "ss_caption_dropout_every_n_epochs": 0,
        "ss_caption_tag_dropout_rate": dataset.tag_dropout,
        "ss_dataset_dirs": _folders(facts.folders),
        "ss_reg_dataset_dirs": _folders(facts.regularisation_folders),
        "ss_tag_frequency": {folder: dict(tags) for folder, tags in facts.tag_frequency.items()},
    }


def _base(config: Config, facts: TrainingFacts) -> dict[str, Any]:
    known = {
        "ss_sd_model_name": facts.base_name,
        "ss_new_sd_model_hash": facts.base_file_sha256,
        "ss_sd_model_hash": facts.base_file_legacy_hash,
        "ss_vae_name": facts.vae_name,
        "ss_new_vae_hash": facts.vae_file_sha256,
        "ss_vae_hash": facts.vae_file_legacy_hash,
    }
    return {
        "ss_v2": False,
        "ss_base_model_version": facts.base.base_version,
        **{key: value for key, value in known.items() if value is not None},
    }


def _modelspec(config: Config, facts: TrainingFacts) -> dict[str, str]:
    side = config.dataset.resolution
    spec = {
        "sai_model_spec": "1.0.1",
        "architecture": facts.base.architecture + ("" if config.network.type == "full" else "/lora"),
        "implementation": facts.base.implementation,
        "title": facts.output_name,
        "resolution": f"{side}x{side}",
        "date": facts.finished.astimezone().replace(microsecond=0, tzinfo=None).isoformat(),
        "prediction_type": facts.base.prediction_type,
        "trigger_phrase": config.dataset.trigger,
    }
    return {f"modelspec.{key}": value for key, value in spec.items() if value}


def _shareable(config: Config) -> dict[str, Any]:
    return {key: value for key, value in asdict(config).items() if key not in PERMISSIONS}


def _own(config: Config, facts: TrainingFacts) -> dict[str, str]:
    return {
        "lorasweep.version": facts.program_version,
        "lorasweep.config": json_text(without_secrets(_shareable(config))),
        "lorasweep.overrides": json_text(
            [
                given
                for given in without_permissions(facts.overrides)
                if not SECRET.search(re.split(r"[=:@]", given)[0].strip("+~ "))
            ]
        ),
        "lorasweep.dataset_sha256": facts.dataset_sha256,
        "lorasweep.base_sha256": facts.base_sha256,
        **({"lorasweep.start_from_sha256": facts.started_from_sha256} if facts.started_from_sha256 else {}),
    }


def _optimizer(config: OptimizerConfig) -> str:
    """sd-scripts' form: dotted class, then the arguments it was built with."""
    kind = optimizer_kind(config.name)
    return f"{kind.dotted}({','.join(f'{key}={value}' for key, value in kind.arguments(config).items())})"


def _folders(folders: Mapping[str, Folder]) -> dict[str, dict[str, int]]:
    return {name: {"n_repeats": repeats, "img_count": images} for name, (repeats, images) in folders.items()}


def _text(value: Any) -> str:
    """sd-scripts' spelling: JSON for dicts, else Python's str ("None", "True", "[1e-05, 0.0]")."""
    return json_text(value) if isinstance(value, dict) else str(value)
