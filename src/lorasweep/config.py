"""The schema of a run: a dataclass per config group, with the meaning and the limits of each value beside it.

All of it is plain data and imports neither torch nor Hydra; `checks.check` holds a config to the limits.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any

from omegaconf import MISSING

THEMES = ("animal", "food", "fuzzybear", "robots", "starwars")


def option(
    default: Any,
    doc: str,
    *,
    choices: Sequence[Any] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Declare one key: its default, its meaning, and the values it takes.

    Args:
        default: the value when nobody sets it; a list is copied per instance.
        doc: one sentence for the config reference.
        choices: the only values allowed.
        above: exclusive lower limit. at_least: inclusive lower limit.
        below: exclusive upper limit. at_most: inclusive upper limit.
    """
    limits = {"choices": choices, "above": above, "at_least": at_least, "below": below, "at_most": at_most}
    metadata = {"doc": doc, **{name: limit for name, limit in limits.items() if limit is not None}}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class BaseModelConfig:
    """The frozen model that a version adapts."""

    family: str = option(
        "sdxl", "model family; the toy base has SDXL's parts and takes the same code", choices=("sdxl",)
    )
    path: str | None = option(None, "diffusers folder or hub id; null is the toy base that ships in the package")
    resolution: int = option(1024, "native side length in pixels; recipes scale to it", at_least=8)
    prediction_type: str = option("epsilon", "what the UNet predicts", choices=("epsilon", "v_prediction"))
    variant: str | None = option(None, "weights variant of a diffusers folder or hub id, such as fp16")
    guidance: float = option(5.0, "guidance that suits this base; sampling.guidance follows it", at_least=1)
    sample_steps: int = option(30, "sampler steps that suit this base; sampling.steps follows them", at_least=1)


@dataclass
class DatasetConfig:
    """Images and captions, and what happens to them on the way to the model."""

    path: str | None = option(None, "folder of images and captions (nested and kohya `10_name` folders too)")
    theme: str | None = option(None, "drawn stand-in used when path is null", choices=(None, *THEMES))
    trigger: str = option("", "trigger word(s), first in every caption; used in sample prompts and metadata")
    repeats: int | None = option(
        None,
        "times each image is seen per epoch; null takes the folder's number (`10_name`), else 1",
        at_least=1,
    )
    caption_extension: str = option(".txt", "extension of caption files")
    resolution: int = option(1024, "side of the square whose area every bucket has", at_least=8)
    buckets: bool = option(True, "group images by aspect ratio; false: one square bucket")
    bucket_min: int = option(512, "shortest side of a bucket in pixels", at_least=1)
    bucket_max: int = option(2048, "longest side of a bucket in pixels", at_least=1)
    bucket_step: int = option(64, "bucket sides are multiples of this many pixels", at_least=1)
    bucket_no_upscale: bool = option(False, "never enlarge an image; small ones get a smaller bucket")
    flip: bool = option(False, "mirror half of the draws left to right")
    background: str = option("#ffffff", "colour behind transparent pixels")
    caption_prefix: str = option("", "text put before every training caption")
    caption_suffix: str = option("", "text put after every training caption")
    caption_separator: str = option(",", "what separates the tags of a caption")
    caption_dropout: float = option(0.0, "share of draws with an empty caption", at_least=0, at_most=1)
    tag_dropout: float = option(0.0, "share of tags dropped (kept tokens never are)", at_least=0, at_most=1)
    shuffle_tags: bool = option(False, "shuffle the tags of a caption at every draw")
    keep_tokens: int = option(0, "leading tags that are neither shuffled nor dropped", at_least=0)
    max_tokens: int = option(75, "caption length in tokens", choices=(75, 150, 225))
    holdout: float = option(
        0.1, "share of images held out to measure the loss (at least one; 0: none)", at_least=0, at_most=0.9
    )
    validation_path: str | None = option(None, "folder of held-out images; then no training image is held out")
    folds: int | None = option(
        None,
        "number of parts that cross-validation deals the images into, near-duplicates together; what is held out "
        "does not train, so that an epoch has fewer steps",
        at_least=2,
        at_most=10,
    )
    fold: int | None = option(
        None, "which of these parts is held out, 1 to dataset.folds, instead of dataset.holdout", at_least=1
    )
    regularisation_path: str | None = option(None, "folder of regularisation (class) images")
    regularisation_repeats: int = option(1, "times each regularisation image is seen per epoch", at_least=1)
    on_bad_file: str = option("stop", "what a damaged or incomplete file does", choices=("stop", "skip"))
    cache: str | None = option(None, "folder of cached latents and text embeddings; null: <output_root>/.cache")


@dataclass
class NetworkConfig:
    """The adapter."""

    type: str = option("lora", "kind of adapter", choices=("lora",))
    rank: int = option(16, "rank of the update (kohya: network_dim)", at_least=1)
    alpha: float = option(8.0, "the update is scaled by alpha / rank", at_least=1)
    dropout: float = option(0.0, "dropout on the adapter's input", at_least=0, below=1)
    attention: bool = option(True, "adapt the UNet's attention (to_q, to_k, to_v, to_out)")
    feed_forward: bool = option(True, "adapt the feed-forward layers of its transformer blocks")
    projections: bool = option(True, "adapt proj_in and proj_out of its transformer blocks")
    convolutions: bool = option(False, "adapt the convolutions of its ResNet blocks and resamplers")


@dataclass
class OptimizerConfig:
    """The optimizer and its learning rates."""

    name: str = option("adamw", "which optimizer", choices=("adamw", "adamw8bit", "adafactor"))
    lr: float = option(1e-4, "learning rate of the UNet's adapter", above=0)
    text_encoder_lr: float = option(0.0, "learning rate of both text encoders' adapters; 0 freezes them", at_least=0)
    text_encoder_2_lr: float | None = option(
        None, "learning rate of the second text encoder; null: as text_encoder_lr; 0 freezes it", at_least=0
    )
    weight_decay: float = option(0.01, "decoupled weight decay", at_least=0)
    beta1: float | None = option(
        0.9, "decay of the gradient's mean; null where the optimizer has none", at_least=0, below=1
    )
    beta2: float | None = option(0.999, "decay of its square; null where the optimizer has none", at_least=0, below=1)
    eps: float | None = option(1e-8, "added to the denominator; null where the optimizer has its own", above=0)


@dataclass
class SchedulerConfig:
    """The learning rate over time."""

    name: str = option(
        "cosine",
        "shape of the learning rate",
        choices=("cosine", "cosine_with_restarts", "constant", "linear"),
    )
    warmup_steps: int = option(0, "optimizer steps of linear warmup", at_least=0)
    warmup_ratio: float = option(0.0, "the same as a share of all steps; set one of the two", at_least=0, below=1)
    cycles: int = option(1, "cycles of cosine_with_restarts", at_least=1)


@dataclass
class LossConfig:
    """What is minimised, and the noise it is measured on."""

    type: str = option("l2", "distance between prediction and target", choices=("l2", "huber", "smooth_l1"))
    huber_schedule: str = option(
        "snr", "how huber's threshold follows the timestep", choices=("constant", "exponential", "snr")
    )
    huber_c: float = option(0.1, "huber's threshold", above=0, at_most=1)
    huber_scale: float = option(1.0, "factor on huber_c (constant and exponential schedules)", above=0)
    min_snr_gamma: float | None = option(None, "min-SNR weighting with this gamma; null: off", above=0)
    noise_offset: float = option(0.0, "strength of one extra draw per image and channel", at_least=0)
    prior_loss_weight: float = option(1.0, "weight of regularisation images", at_least=0)


@dataclass
class EvaluationConfig:
    """How a version is measured, and which epoch becomes its weights file."""

    every_epochs: int = option(1, "evaluate after every so many epochs (and after the last)", at_least=1)
    heldout_loss: bool = option(True, "measure the loss on held-out images, as a ratio to the base's")
    timesteps: int = option(8, "stratified timesteps per held-out image", at_least=1, at_most=1000)
    bins: int = option(4, "timestep bins that are reported apart", at_least=1)
    max_images: int = option(16, "held-out images used at most", at_least=1)
    seed: int = option(
        0,
        "of the held-out split, timesteps and noise; apart from `seed`, so that repeats compare",
        at_least=0,
    )
    clip: bool = option(True, "CLIP similarity of samples to held-out images and to their prompts")
    clip_path: str | None = option(
        None, "transformers CLIP folder or hub id; null: the toy's on the toy base, else off"
    )
    select_by: str | None = option(None, "metric that chooses the epoch, or last; null: the objective")


@dataclass
class SamplingConfig:
    """Sample images: fixed prompts and seeds, before training and after every epoch."""

    every_epochs: int = option(1, "sample after every so many epochs (and after the last); 0: never", at_least=0)
    prompts: list[str] = option([], "prompts; `{trigger}` stands for the dataset's trigger")
    negative_prompt: str = option("", "negative prompt")
    seeds: list[int] = option([0], "one image per prompt and seed", at_least=0)
    steps: int = option(30, "sampler steps", at_least=1)
    guidance: float = option(5.0, "classifier-free guidance", at_least=1)


@dataclass
class WandbConfig:
    """Weights & Biases."""

    mode: str = option(
        "auto",
        "auto goes online when there is a key and a network",
        choices=("auto", "online", "offline", "disabled"),
    )
    project: str = option("lorasweep", "W&B project")
    entity: str | None = option(None, "W&B team or user; null: your default")
    group: str | None = option(None, "W&B group; null: the study's or the LoRA's name")
    tags: list[str] = option([], "further W&B tags")


@dataclass
class TrackerConfig:
    """Where metrics go besides metrics.jsonl, which is always written."""

    every_steps: int = option(10, "training metrics are means over this many steps", at_least=1)
    tensorboard: bool = option(True, "write TensorBoard event files")
    wandb: WandbConfig = field(default_factory=WandbConfig)


@dataclass
class TrainingConfig:
    """The loop."""

    batch_size: int = option(2, "images per batch", at_least=1)
    epochs: int = option(10, "passes over the images and their repeats", at_least=1)
    max_steps: int | None = option(None, "optimizer steps; wins over epochs", at_least=1)
    gradient_accumulation: int = option(1, "batches per optimizer step", at_least=1)
    max_grad_norm: float = option(1.0, "gradients are clipped to this norm; 0: off", at_least=0)
    mixed_precision: str = option(
        "auto", "auto: bf16 (else fp16) on a GPU, fp32 on a CPU", choices=("auto", "no", "fp16", "bf16")
    )
    device: str = option("auto", "auto: the GPU if there is one", choices=("auto", "cpu", "cuda"))
    gradient_checkpointing: bool = option(False, "trade speed for memory")
    save_every_epochs: int = option(1, "write a weights file after every so many epochs (and the last)", at_least=1)
    state_every_steps: int = option(
        500, "save a resumable state every so many steps too; 0: only per epoch", at_least=0
    )


@dataclass
class Config:
    """One version, whole."""

    name: str = option(MISSING, "display name; the folder is its lower-case form")
    recipe: str = option("", "recipe that it came from, such as food/v8")
    seed: int = option(42, "seed of every draw", at_least=0)
    output_root: str = option("outputs", "folder of all versions")
    resume: str | None = option(None, "continue a version: v6, or latest")
    objective: str = option("val/loss_ratio", "metric that a search optimises and train.py returns")
    further_objectives: list[str] = option([], "metrics that a search optimises besides; it then shows a Pareto front")
    base_model: BaseModelConfig = field(default_factory=BaseModelConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


LAST = "last"  # value of evaluation.select_by that chooses the last epoch, whatever was measured

# Every metric that can be an objective, and the direction in which it is better.
OBJECTIVES = {
    "val/loss": "minimize",
    "val/loss_ratio": "minimize",
    "image/clip_image": "maximize",
    "image/clip_text": "maximize",
    "train/loss": "minimize",
}


def slug(name: str) -> str:
    """Return the folder name of a display name: `FuzzyBear` -> `fuzzybear`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"


@dataclass(frozen=True)
class Key:
    """What the schema says about one key.

    Attributes:
        name: dotted, such as network.rank.
        kind: the value's type without null: bool, int, float, str or list.
        item: the type of a list's items; None for anything but a list.
        nullable: whether null is a value of it.
        default: the value when nobody sets it; MISSING (`???`) where there is none.
        doc: its meaning in one sentence.
        limits: choices, above, at_least, below, at_most, as given to `option`.
    """

    name: str
    kind: type
    item: type | None
    nullable: bool
    default: Any
    doc: str
    limits: dict[str, Any]


@cache
def schema_keys(schema: type = Config, prefix: str = "") -> Mapping[str, Key]:
    """Return every leaf key of the schema by its dotted name, in the order of declaration."""
    hints = typing.get_type_hints(schema)
    found: dict[str, Key] = {}
    for entry in fields(schema):
        hint, name = hints[entry.name], prefix + entry.name
        if is_dataclass(hint):
            found |= schema_keys(typing.cast(type, hint), f"{name}.")
            continue
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        nullable = type(None) in typing.get_args(hint)
        plain = parts[0] if nullable else hint
        is_list = typing.get_origin(plain) is list
        limits = dict(entry.metadata)
        found[name] = Key(
            name=name,
            kind=list if is_list else plain,
            item=typing.get_args(plain)[0] if is_list else None,
            nullable=nullable,
            default=entry.default if entry.default_factory is NO_DEFAULT else entry.default_factory(),
            doc=limits.pop("doc"),
            limits=limits,
        )
    return found


def value_at(config: Config, key: str) -> Any:
    """Return the value of a dotted key, such as network.rank."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
