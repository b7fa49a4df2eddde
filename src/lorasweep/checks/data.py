"""Images, their sizes and captions, without opening one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lorasweep import weights
from lorasweep.checks.wording import default, inert
from lorasweep.config import Config, value_at


def _images(config: Config) -> Iterator[str]:
    data = config.dataset
    if data.path is None and data.theme is None:
        yield "dataset.path is not set: give the folder of your images and captions with dataset.path=FOLDER"
    for key in ("path", "mask_path", "validation_path", "regularisation_path"):
        folder = getattr(data, key)
        if folder is None:
            continue
        if not Path(folder).exists():
            where = "" if Path(folder).is_absolute() else f" in {Path.cwd()}"
            yield f"dataset.{key}={folder}: there is no such folder{where}; check the path"
        elif not Path(folder).is_dir():
            held = "masks" if key == "mask_path" else "images and captions"
            yield f"dataset.{key}={folder}: this is a file; expected the folder of {held}"
    if data.validation_path is not None and data.holdout not in (0, default("dataset.holdout")):
        yield inert(config, "dataset.holdout", "while dataset.validation_path is set: take one of them away")
    yield from _folds(config)
    if data.regularisation_path is None:
        for key in ("dataset.regularisation_repeats", "loss.prior_loss_weight"):
            if value_at(config, key) != default(key):
                yield inert(config, key, "without dataset.regularisation_path=FOLDER")


def _masks(config: Config) -> Iterator[str]:
    data = config.dataset
    if data.mask_path is None and not data.alpha_mask:
        if config.loss.unmasked_weight != default("loss.unmasked_weight"):
            because = "without masks: give dataset.mask_path=FOLDER or dataset.alpha_mask=true"
            yield inert(config, "loss.unmasked_weight", because)
    elif data.mask_path is not None and data.alpha_mask:
        yield (
            f"dataset.mask_path={data.mask_path} and dataset.alpha_mask=true both say what the masks are: take one "
            "of them away"
        )
    elif data.mask_path and data.path and Path(data.mask_path).resolve().is_relative_to(Path(data.path).resolve()):
        yield (
            f"dataset.mask_path={data.mask_path}: it is inside dataset.path={data.path}, where the masks would be "
            "taken for images; move it out"
        )


def _folds(config: Config) -> Iterator[str]:
    data = config.dataset
    if data.folds is None:
        if data.fold is not None:
            yield f"dataset.fold={data.fold}: of how many? Give dataset.folds=K too, or set dataset.fold=null"
        return
    if data.fold is None:
        yield f"dataset.folds={data.folds}: which one is held out? Give dataset.fold=1 to {data.folds} too"
    elif data.fold > data.folds:
        yield f"dataset.fold={data.fold}: expected 1 to dataset.folds={data.folds}"
    if data.validation_path is not None:
        yield (
            f"dataset.folds={data.folds} and dataset.validation_path={data.validation_path} both say what is held "
            "out: take one of them away"
        )
    if data.holdout not in (0, default("dataset.holdout")):
        yield inert(config, "dataset.holdout", "while dataset.folds is set: take one of them away")


def _sizes(config: Config) -> Iterator[str]:
    data = config.dataset
    given = f"dataset.resolution={data.resolution}"
    # SDXL's UNet halves its 1/8-size latents twice and more: 64 pixels keep every level whole.
    unit = min(64, config.base_model.resolution) if data.buckets else 8
    if data.resolution % unit:
        below = data.resolution // unit * unit
        choices = f"{below} or {below + unit}" if below else str(unit)
        why = "with buckets" if data.buckets else "without buckets"
        yield f"{given}: expected a multiple of {unit} {why}, such as {choices}"
    if not data.buckets:
        return
    shortest, longest, step = data.bucket_min, data.bucket_max, data.bucket_step
    factor = weights.latent_factor(config.base_model)
    if factor is not None and step % factor:
        yield f"dataset.bucket_step={step}: expected a multiple of {factor}, a latent pixel of this base"
    if shortest > data.resolution:
        yield f"dataset.bucket_min={shortest}: expected at most {given}, so that the square is a bucket"
    if longest < data.resolution:
        yield f"dataset.bucket_max={longest}: expected at least {given}, so that the square is a bucket"
    if shortest < step:
        yield f"dataset.bucket_min={shortest}: expected at least dataset.bucket_step={step}"


def _captions(config: Config) -> Iterator[str]:
    data = config.dataset
    if not re.fullmatch(r"\.\w[\w.]*", data.caption_extension):
        yield f"dataset.caption_extension={data.caption_extension}: expected a dot and letters, such as .txt"
    if not _is_color(data.background):
        yield f"dataset.background={data.background}: expected a colour such as white or '#ffffff'"
    if not data.caption_separator:
        yield "dataset.caption_separator='': expected what separates tags, such as ','"
    if data.keep_tokens and not (data.shuffle_tags or data.tag_dropout):
        yield inert(config, "dataset.keep_tokens", "without dataset.shuffle_tags=true or dataset.tag_dropout")


def _is_color(text: str) -> bool:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return True
    from PIL import ImageColor  # knows the names, but takes a while to load

    try:
        return bool(ImageColor.getrgb(text))
    except ValueError:
        return False


RULES = (_images, _masks, _sizes, _captions)
