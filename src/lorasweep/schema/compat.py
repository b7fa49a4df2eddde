"""Where kohya's sd-scripts goes another way, for who repeats an old run."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.schema.option import option


@dataclass
class CompatConfig:
    """What kohya's sd-scripts does in another way, each by itself; `compat=kohya` sets them all."""

    round_each_epoch: bool = option(
        False,
        "every epoch ends with a short batch in each bucket and a short step, instead of running on into the next",
        needs="training.batch_size>1 or training.gradient_accumulation>1",
        brought=True,
    )
    mean_of_batches: bool = option(
        False,
        "with gradient_accumulation every batch of a step weighs the same and a step of fewer batches weighs less, "
        "instead of every image weighing the same",
        needs="training.gradient_accumulation>1",
        brought=True,
    )
    literal_captions: bool = option(
        False,
        "a caption is the first line of its file, letter by letter, and gets dataset.caption_prefix even where it has "
        "it already, instead of being read for what it means",
        needs="dataset.path",
        brought=True,
    )
    bucket_by_ratio: bool = option(
        False,
        "an image goes to the bucket with the nearest width / height, instead of the one that crops it least",
        needs=("dataset.buckets", "dataset.bucket_no_upscale=false"),
        brought=True,
    )
    area_shrinking: bool = option(
        False,
        "images are shrunk by the mean of the area that each pixel covers (OpenCV's INTER_AREA), instead of by Lanczos",
    )
    letterbox_offsets: bool = option(
        False,
        "the base is told where the image would lie if it were fitted inside its bucket, instead of the true crop",
    )
    frozen_latents: bool = option(
        False, "one sample of each image's latents for the whole run (cache_latents), instead of one for each draw"
    )
    pad_captions: bool = option(
        False,
        "every caption is padded to dataset.max_tokens, instead of to what the longest of its batch needs",
        needs="dataset.max_tokens>75",
        brought=True,
    )
    noise_by_batch: bool = option(
        False,
        "random strengths are drawn once for a batch, and pyramid noise is scaled by the batch's deviation, instead "
        "of each image's own",
        needs=(
            "training.batch_size>1",
            "loss.noise_offset_random or loss.input_perturbation_random or loss.multires_iterations",
        ),
        brought=True,
    )
    undivided_masks: bool = option(
        False,
        "a masked loss is not divided by the mask's mean, so that an image with a small mask teaches less",
        needs="dataset.mask_path or dataset.alpha_mask",
        brought=True,
    )
