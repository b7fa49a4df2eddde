"""kohya's ways, chosen one by one."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.checks.wording import inert
from lorasweep.config import Config, schema_keys, value_at
from lorasweep.errors import Problem


def _alone(config: Config) -> Iterator[Problem]:
    """Refuse a way chosen by itself that cannot act; in a bundle such as `compat=kohya` it may be idle."""
    chosen = [key for key in schema_keys() if key.startswith("compat.") and value_at(config, key)]
    if len(chosen) == 1 and (because := _idle(config).get(chosen[0])):
        yield inert(config, chosen[0], because)


def _idle(config: Config) -> dict[str, str]:
    """Return the ways that cannot act in this run, and why."""
    data, loss, training = config.dataset, config.loss, config.training
    random = loss.noise_offset_random or loss.input_perturbation_random or loss.multires_iterations
    found = {
        "compat.round_each_epoch": training.batch_size * training.gradient_accumulation == 1
        and "while every step has one image",
        "compat.mean_of_batches": training.gradient_accumulation == 1
        and "without training.gradient_accumulation: a step is then one batch",
        "compat.bucket_by_ratio": (not data.buckets and "without dataset.buckets=true")
        or (data.bucket_no_upscale and "with dataset.bucket_no_upscale=true: each image then makes its own bucket"),
        "compat.pad_captions": data.max_tokens == 75 and "with dataset.max_tokens=75: nothing is shorter",
        "compat.noise_by_batch": (training.batch_size == 1 and "while a batch has one image")
        or (not random and "without loss.noise_offset_random, input_perturbation_random or multires_iterations"),
        "compat.undivided_masks": not (data.mask_path or data.alpha_mask)
        and "without masks: give dataset.mask_path=FOLDER or dataset.alpha_mask=true",
    }
    return {key: because for key, because in found.items() if because}


RULES = (_alone,)
