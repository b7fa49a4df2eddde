"""Images and captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorasweep.registry import Registry
from lorasweep.schema.option import option

# What makes the images of each theme (`data.providers.Provider`). Packages of a user's own add themes by entry points,
# `lorasweep.themes`.
THEMES: Registry[Any] = Registry(
    "theme",
    "lorasweep.themes",
    {
        "animal": "lorasweep.toy.sets:ANIMAL",
        "food": "lorasweep.toy.sets:FOOD",
        "fuzzybear": "lorasweep.toy.sets:FUZZYBEAR",
        "robots": "lorasweep.toy.sets:ROBOTS",
        "starwars": "lorasweep.toy.sets:STARWARS",
        "humanoid": "lorasweep.toy.sets:HUMANOID",
    },
)


@dataclass
class DatasetConfig:
    """Images and captions, and what happens to them on the way to the model."""

    path: str | None = option(
        None,
        "folder of images and captions (nested and kohya `10_name` folders too)",
        resume="moved",
        kohya="train_data_dir",
        aliases=("data_dir", "image_dir", "instance_data_dir", "folder_path"),
        path=True,
    )
    theme: str | None = option(
        None,
        "drawn stand-in used when path is null",
        choices=(None, *THEMES),
        needs="dataset.path=null",
        brought=True,
    )
    trigger: str = option(
        "",
        "trigger word(s), first in every caption; used in sample prompts and metadata",
        aliases=("trigger_word", "instance_prompt", "class_tokens"),
        measures=("image/",),
    )
    repeats: int | None = option(
        None,
        "times each image is seen per epoch; null takes the folder's number (`10_name`), else 1",
        at_least=1,
        kohya="num_repeats",
    )
    caption_extension: str = option(".txt", "extension of caption files", needs="dataset.path")
    resolution: int = option(
        1024, "side of the square whose area every bucket has", at_least=8, measures=("val/", "image/")
    )
    buckets: bool = option(True, "group images by aspect ratio; false: one square bucket", kohya="enable_bucket")
    bucket_min: int = option(
        512,
        "shortest side of a bucket in pixels",
        at_least=1,
        kohya="min_bucket_reso",
        needs=("dataset.buckets", "dataset.bucket_no_upscale=false"),
        brought=True,
    )
    bucket_max: int = option(
        2048,
        "longest side of a bucket in pixels",
        at_least=1,
        kohya="max_bucket_reso",
        needs=("dataset.buckets", "dataset.bucket_no_upscale=false"),
        brought=True,
    )
    bucket_step: int = option(
        64,
        "bucket sides are multiples of this many pixels",
        at_least=1,
        kohya="bucket_reso_steps",
        needs="dataset.buckets",
        brought=True,
    )
    bucket_no_upscale: bool = option(
        False, "never enlarge an image; small ones get a smaller bucket", needs="dataset.buckets"
    )
    flip: bool = option(False, "mirror half of the draws left to right", kohya="flip_aug", aliases="random_flip")
    background: str = option("#ffffff", "colour behind transparent pixels", needs="dataset.path")
    caption_prefix: str = option("", "text put before every training caption")
    caption_suffix: str = option("", "text put after every training caption")
    caption_separator: str = option(",", "what separates the tags of a caption")
    caption_dropout: float = option(
        0.0, "share of draws with an empty caption", at_least=0, at_most=1, kohya="caption_dropout_rate"
    )
    tag_dropout: float = option(
        0.0, "share of tags dropped (kept tokens never are)", at_least=0, at_most=1, kohya="caption_tag_dropout_rate"
    )
    shuffle_tags: bool = option(False, "shuffle the tags of a caption at every draw", kohya="shuffle_caption")
    keep_tokens: int = option(
        0,
        "leading tags that are neither shuffled nor dropped",
        at_least=0,
        needs="dataset.shuffle_tags or dataset.tag_dropout",
    )
    max_tokens: int = option(
        75,
        "tokens that are read of a caption, a length that the base takes (SDXL: 75, 150 or 225)",
        at_least=1,
        kohya="max_token_length",
        measures=("val/", "image/"),
    )
    holdout: float = option(
        0.1,
        "share of images held out to measure the loss (at least one; 0: none)",
        at_least=0,
        at_most=0.9,
        kohya="validation_split",
        needs=("dataset.path", "dataset.validation_path=null", "dataset.folds=null"),
    )
    validation_path: str | None = option(
        None,
        "folder of held-out images; then no training image is held out",
        resume="moved",
        path=True,
        needs=("dataset.path", "evaluation.heldout_loss or features.models"),
    )
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
    mask_path: str | None = option(
        None,
        "folder of masks, named and placed as the images are: white pixels count, black ones do not",
        resume="moved",
        kohya="conditioning_data_dir",
        path=True,
        needs="dataset.path",
    )
    alpha_mask: bool = option(
        False, "use each image's transparency as its mask: opaque pixels count", needs="dataset.path"
    )
    regularisation_path: str | None = option(
        None,
        "folder of regularisation (class) images",
        resume="moved",
        kohya="reg_data_dir",
        aliases="class_data_dir",
        path=True,
    )
    regularisation_repeats: int = option(
        1, "times each regularisation image is seen per epoch", at_least=1, needs="dataset.regularisation_path"
    )
    on_bad_file: str = option(
        "stop", "what a damaged or incomplete file does", choices=("stop", "skip"), needs="dataset.path"
    )
    cache: str | None = option(
        None, "folder of cached latents and text embeddings; null: <output_root>/.cache", resume="free", path=True
    )
