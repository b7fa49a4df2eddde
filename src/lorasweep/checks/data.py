"""Images, their sizes and captions, without opening one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from lorasweep.data.captions import SPECIAL, special_token
from lorasweep.errors import Problem
from lorasweep.families.known import family_of
from lorasweep.schema import Config, value_at
from lorasweep.text.names import did_you_mean
from lorasweep.text.triggers import names_trigger


def _images(config: Config) -> Iterator[Problem]:
    data = config.dataset
    if data.path is None and data.theme is None:
        yield Problem(
            "dataset.path is not set: give the folder of your images and captions with dataset.path=FOLDER",
            "dataset.path",
            "dataset.theme",
        )
    for key in ("path", "mask_path", "validation_path", "regularisation_path"):
        folder = getattr(data, key)
        if folder is None:
            continue
        if not Path(folder).exists():
            where = "" if Path(folder).is_absolute() else f" in {Path.cwd()}"
            yield Problem(f"dataset.{key}={folder}: there is no such folder{where}; check the path", f"dataset.{key}")
        elif not Path(folder).is_dir():
            content = "masks" if key == "mask_path" else "images and captions"
            yield Problem(f"dataset.{key}={folder}: this is a file; expected the folder of {content}", f"dataset.{key}")
    keys = ("dataset.path", "dataset.validation_path", "dataset.regularisation_path", "output_root")
    folders = {key: Path(folder).resolve() for key in keys if (folder := value_at(config, key)) is not None}
    for one, other in combinations(folders, 2):
        if folders[one] == folders[other]:
            given = f"{other}={value_at(config, other)}"
            cure = "give another one" if other == "output_root" else f"give another one, or {other}=null"
            yield Problem(f"{given}: it is the folder of {one} too; {cure}", other, one)
    yield from _folds(config)


def _masks(config: Config) -> Iterator[Problem]:
    data = config.dataset
    if data.mask_path is not None and data.alpha_mask:
        yield Problem(
            f"dataset.mask_path={data.mask_path} and dataset.alpha_mask=true both say what the masks are: take one "
            "of them away",
            "dataset.mask_path",
            "dataset.alpha_mask",
        )


def _folds(config: Config) -> Iterator[Problem]:
    data = config.dataset
    if data.folds is None:
        if data.fold is not None:
            asked = f"dataset.fold={data.fold}: of how many? Give dataset.folds=K too, or set dataset.fold=null"
            yield Problem(asked, "dataset.fold", "dataset.folds")
        return
    if data.fold is None:
        asked = f"dataset.folds={data.folds}: which one is held out? Give dataset.fold=1 to {data.folds} too"
        yield Problem(asked, "dataset.fold", "dataset.folds")
    elif data.fold > data.folds:
        expected = f"expected 1 to dataset.folds={data.folds}"
        yield Problem(f"dataset.fold={data.fold}: {expected}", "dataset.fold", "dataset.folds")
    if data.validation_path is not None:
        yield Problem(
            f"dataset.folds={data.folds} and dataset.validation_path={data.validation_path} both say what is held "
            "out: take one of them away",
            "dataset.folds",
            "dataset.validation_path",
        )


def _sizes(config: Config) -> Iterator[Problem]:
    data = config.dataset
    side = "dataset.resolution"
    given = f"{side}={data.resolution}"
    family = family_of(config.base_model)
    unit = family.resolution_step(config.base_model, buckets=data.buckets)
    if data.resolution % unit:
        below = data.resolution // unit * unit
        choices = f"{below} or {below + unit}" if below else str(unit)
        why = "with buckets" if data.buckets else "without buckets"
        yield Problem(f"{given}: expected a multiple of {unit} {why}, such as {choices}", side)
    if not data.buckets:
        return
    shortest, longest, step = data.bucket_min, data.bucket_max, data.bucket_step
    factor = family.files.pixels_per_latent(config.base_model)
    if factor is not None and step % factor:
        expected = f"expected a multiple of {factor}, a latent pixel of this base"
        yield Problem(f"dataset.bucket_step={step}: {expected}", "dataset.bucket_step")
    if shortest > data.resolution:
        expected = f"expected at most {given}, so that the square is a bucket"
        yield Problem(f"dataset.bucket_min={shortest}: {expected}", "dataset.bucket_min", side)
    if longest < data.resolution:
        expected = f"expected at least {given}, so that the square is a bucket"
        yield Problem(f"dataset.bucket_max={longest}: {expected}", "dataset.bucket_max", side)
    if shortest < step:
        expected = f"expected at least dataset.bucket_step={step}"
        yield Problem(f"dataset.bucket_min={shortest}: {expected}", "dataset.bucket_min", "dataset.bucket_step")


def _captions(config: Config) -> Iterator[Problem]:
    data = config.dataset
    if not re.fullmatch(r"\.\w[\w.]*", data.caption_extension):
        given = data.caption_extension
        letters = "".join(re.findall(r"\w+", given)) or "txt"
        expected = f"expected a dot and letters, such as .{letters}"
        yield Problem(f"dataset.caption_extension={given}: {expected}", "dataset.caption_extension")
    for key in ("trigger", "caption_prefix", "caption_suffix"):
        text = getattr(data, key)
        if token := special_token(text):
            yield Problem(f"dataset.{key}={text}: has {token} in it, {SPECIAL}: take it out", f"dataset.{key}")
        if names_trigger(text) and not data.trigger and not config.compat.literal_captions:
            cure = "set dataset.trigger=WORD, or write the word itself"
            yield Problem(f"dataset.{key}={text}: names the trigger, and there is none: {cure}", f"dataset.{key}")
    if not _is_color(data.background):
        expected = "expected a colour such as white or '#ffffff'"
        yield Problem(f"dataset.background={data.background}: {expected}", "dataset.background")
    lengths = [str(length) for length in family_of(config.base_model).caption_lengths]
    if lengths and str(data.max_tokens) not in lengths:
        expected = f"expected one of {', '.join(lengths)}{did_you_mean(str(data.max_tokens), lengths)}"
        yield Problem(f"dataset.max_tokens={data.max_tokens}: {expected}", "dataset.max_tokens", "base_model.family")
    if not data.caption_separator:
        expected = "expected what separates tags, such as ','"
        yield Problem(f"dataset.caption_separator='': {expected}", "dataset.caption_separator")


def _is_color(text: str) -> bool:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return True
    from PIL import ImageColor  # knows the names, but takes a while to load

    try:
        return bool(ImageColor.getrgb(text))
    except ValueError:
        return False


RULES = (_images, _masks, _sizes, _captions)
