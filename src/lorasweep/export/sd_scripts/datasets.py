"""The images and captions of a file of sd-scripts: of one dataset, or of several that a dataset config described."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from lorasweep.export.sd_scripts.about import OFF, About, flag, positive, whole_number

STEP, STEPS = 64, (8, 16, 32, 64, 128, 256)


class Folder(NamedTuple):
    """How often each image of a folder is seen per epoch, how many images it has, and the caption of those without."""

    repeats: int
    images: int
    tokens: str = ""


WITHOUT_TRIGGER = "portrait of a person, standing, white background"

# Of a dataset in `ss_datasets`, what a single one has under keys of the metadata; then of its subsets.
_DATASET = {
    "batch_size_per_device": "ss_batch_size_per_device",
    "resolution": "ss_resolution",
    "enable_bucket": "ss_enable_bucket",
    "min_bucket_reso": "ss_min_bucket_reso",
    "max_bucket_reso": "ss_max_bucket_reso",
    "resize_interpolation": "ss_resize_interpolation",
}
_SUBSET = {
    "flip_aug": "ss_flip_aug",
    "color_aug": "ss_color_aug",
    "random_crop": "ss_random_crop",
    "shuffle_caption": "ss_shuffle_caption",
    "keep_tokens": "ss_keep_tokens",
    # These have no key of their own there; with the name of their option they are read or named like the others.
    "caption_prefix": "ss_caption_prefix",
    "caption_suffix": "ss_caption_suffix",
    "keep_tokens_separator": "ss_keep_tokens_separator",
    "secondary_separator": "ss_secondary_separator",
    "enable_wildcard": "ss_enable_wildcard",
}


def as_one_dataset(texts: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the metadata of a file as if it had had one dataset, and notes on what several were cut down to.

    Where datasets or their folders differ, the value that most images had is taken.
    """
    texts = dict(texts)
    given = texts.pop("ss_datasets", "None")
    if given in OFF:
        return texts, []
    try:
        datasets = [dict(dataset) for dataset in json.loads(given)]
        subsets = [(dataset, dict(subset)) for dataset in datasets for subset in dataset.get("subsets") or []]
        images = [_images(subset) for _, subset in subsets]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return texts, [f"ss_datasets={given} could not be read"]
    trained = [number for number, (_, subset) in enumerate(subsets) if not subset.get("is_reg")]
    found: dict[str, str] = {}
    notes: list[str] = []
    for names, place in ((_DATASET, 0), (_SUBSET, 1)):
        for name, key in names.items():
            counted: Counter[str] = Counter()
            for number in trained:
                counted[_text(subsets[number][place].get(name))] += images[number]
            if counted:
                found[key] = max(counted, key=lambda text: (counted[text], text))
            if len(counted) > 1:
                notes.append(f"its datasets differ in {name}: {', '.join(sorted(counted))}; here it is {found[key]}")
    chosen = [subsets[n][1] for n in trained if _text(subsets[n][0].get("resolution")) == found.get("ss_resolution")]
    folders = {"ss_dataset_dirs": chosen, "ss_reg_dataset_dirs": [s for _, s in subsets if s.get("is_reg")]}
    found |= {key: json.dumps(_as_folders(of)) for key, of in folders.items()}
    of_size = [dataset for dataset in datasets if _text(dataset.get("resolution")) == found.get("ss_resolution")]
    found["ss_bucket_info"] = json.dumps(_as_buckets(of_size))
    if len(datasets) > 1:
        found["ss_num_batches_per_epoch"] = "None"  # an epoch was all of them, so that the steps are to be given
    return {**texts, **found}, notes


def read_dataset(about: About) -> None:
    """Read the folders, sizes and captions; `about` is of one dataset."""
    _read_folders(about)
    _read_buckets(about)
    for theirs, (ours, read) in {
        "ss_flip_aug": ("flip", flag),
        "ss_shuffle_caption": ("shuffle_tags", flag),
        "ss_keep_tokens": ("keep_tokens", whole_number),
        "ss_max_token_length": ("max_tokens", whole_number),
        "ss_caption_dropout_rate": ("caption_dropout", float),
        "ss_caption_tag_dropout_rate": ("tag_dropout", float),
        "ss_caption_prefix": ("caption_prefix", str),
        "ss_caption_suffix": ("caption_suffix", str),
        "ss_validation_split": ("holdout", positive),
    }.items():
        if (value := about.value(theirs, read)) is not None:  # type: ignore[arg-type]
            about.settings[f"dataset.{ours}"] = value
    about.notes.append("where its images and captions are: give dataset.path=FOLDER")


def _read_folders(about: About) -> None:
    folders = about.value("ss_dataset_dirs", _folders) or {}
    repeats = {name: folder.repeats for name, folder in folders.items()}
    if len(set(repeats.values())) == 1:
        about.settings["dataset.repeats"] = next(iter(repeats.values()))
    elif not folders or not all(name.startswith(f"{number}_") for name, number in repeats.items()):
        about.notes.append(
            "one number of repeats: set dataset.repeats, or name the folders as kohya does, 10_name (by folder: "
            f"{repeats or 'unknown'})"
        )
    frequencies = about.value("ss_tag_frequency", json.loads)
    concepts = [_concept(name, folder, frequencies) for name, folder in folders.items()]
    concepts = list(dict.fromkeys(concept for concept in concepts if concept))
    trigger = about.value("modelspec.trigger_phrase", str)
    if trigger:
        about.settings["dataset.trigger"] = trigger
    elif len(concepts) == 1:
        about.settings["dataset.trigger"] = concepts[0]
        about.notes.append("its trigger; dataset.trigger is a guess from the captions' tags or the folder's name")
    else:
        about.settings["sampling.prompts"] = concepts[:4] or [WITHOUT_TRIGGER]
        about.notes.append("one trigger: set dataset.trigger if there is one; the prompts are without it")
    if regularisation := about.value("ss_reg_dataset_dirs", _folders):
        times = max(1, next(iter(regularisation.values())).repeats)
        weight = about.settings.pop("loss.prior_loss_weight", 1.0)
        about.notes.append(
            "where its regularisation images are: give dataset.regularisation_path=FOLDER "
            f"dataset.regularisation_repeats={times} loss.prior_loss_weight={weight:g}"
        )


def _read_buckets(about: About) -> None:
    """Read the sizes of the buckets; what is measured in pixels follows the base (`native`)."""
    if (buckets := about.value("ss_enable_bucket", flag)) is not None:
        about.settings["dataset.buckets"] = buckets
    if (no_upscale := about.value("ss_bucket_no_upscale", flag)) is not None:
        about.settings["dataset.bucket_no_upscale"] = no_upscale
    sides = about.value("ss_resolution", _sides) or about.value("modelspec.resolution", _sides)
    if sides:
        about.settings["dataset.resolution"] = _resolution(about, sides)
    for theirs, ours in (("ss_min_bucket_reso", "bucket_min"), ("ss_max_bucket_reso", "bucket_max")):
        if (pixels := about.value(theirs, whole_number)) is not None:
            about.settings[f"dataset.{ours}"] = pixels
    used = about.value("ss_bucket_info", _bucket_sides) or set()
    if not about.settings.get("dataset.buckets", True):
        return
    step = _step(used)
    if step not in (None, STEP):
        about.settings["dataset.bucket_step"] = step
    fits = f"the sides of the {len(used)} buckets that were used fit" if used else "here it is"
    remark = f"{fits} {step or STEP}" if step or not used else f"{fits} no step that is known here, which has {STEP}"
    about.notes.append(f"bucket_reso_steps, which no key holds: {remark}")


def _resolution(about: About, sides: list[int]) -> int:
    """The side of a square of about that area, as a base takes it."""
    side = math.sqrt(sides[0] * sides[-1])
    unit = 64 if about.settings.get("dataset.buckets", True) else 8
    rounded = max(unit, round(side / unit) * unit)
    if len(set(sides)) > 1 or rounded != sides[0]:
        about.notes.append(f"its resolution was {'x'.join(map(str, sides))}; here it is a square of {rounded}")
    return rounded


def _step(used: Iterable[tuple[int, int]]) -> int | None:
    """The largest step that all sides are multiples of; None without one. A few shapes may fit more by chance."""
    shapes = {tuple(sorted(sides)) for sides in used}
    common = math.gcd(*(side for sides in shapes for side in sides))
    largest = max((step for step in STEPS if common and common % step == 0), default=None)
    return largest if largest is None or len(shapes) > 2 else min(largest, STEP)


def _concept(name: str, folder: Folder, frequencies: Any) -> str:
    """What a folder's captions have in common: the first tag that all have, else its class, or name without number."""
    tags = frequencies.get(name) if isinstance(frequencies, Mapping) else None
    if folder.images > 1 and isinstance(tags, Mapping):
        for tag, count in tags.items():
            if isinstance(count, int) and count >= folder.images:
                return str(tag).strip()
    if folder.tokens:
        return folder.tokens.strip()
    if name.endswith((".json", ".jsonl")):  # captions from a metadata file
        return ""
    return re.sub(r"^\d+_", "", name).strip()


def _folders(text: str) -> dict[str, Folder]:
    """Read {"10_bear": {"n_repeats": 10, "img_count": 8}}."""
    try:
        return {
            str(name): Folder(int(folder["n_repeats"]), int(folder["img_count"]), str(folder.get("class_tokens") or ""))
            for name, folder in json.loads(text).items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(text) from error


def _as_folders(subsets: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The form of `ss_dataset_dirs`, and the class; a folder that is there more than once has all of its repeats."""
    found: dict[str, dict[str, Any]] = {}
    for subset in subsets:
        name = str(subset.get("image_dir") or subset.get("metadata_file") or subset.get("class_tokens") or "")
        images, tokens = int(subset.get("img_count") or 0), subset.get("class_tokens")
        entry = found.setdefault(name, {"n_repeats": 0, "img_count": images, "class_tokens": tokens})
        entry["n_repeats"] += int(subset.get("num_repeats") or 1)
    return found


def _as_buckets(datasets: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The form of `ss_bucket_info`: all buckets of several datasets."""
    infos = [dataset.get("bucket_info") for dataset in datasets]
    buckets = [
        info["buckets"] for info in infos if isinstance(info, Mapping) and isinstance(info.get("buckets"), Mapping)
    ]
    return {"buckets": dict(enumerate(bucket for of in buckets for bucket in of.values()))}


def _images(subset: Mapping[str, Any]) -> int:
    return int(subset.get("img_count") or 0) * int(subset.get("num_repeats") or 1)


def _text(value: Any) -> str:
    """As the metadata spells it."""
    return str(tuple(value)) if isinstance(value, list) else str(value)


def _sides(text: str) -> list[int]:
    """Read "(1024, 1024)", "1024x1024", "1024"."""
    sides = [int(number) for number in re.findall(r"\d+", text)]
    if not 1 <= len(sides) <= 2 or not all(0 < side < 1 << 16 for side in sides):
        raise ValueError(text)
    return sides


def _bucket_sides(text: str) -> set[tuple[int, int]]:
    """Read the sizes of {"buckets": {"0": {"resolution": [832, 1216], "count": 50}}}."""
    try:
        buckets = json.loads(text).get("buckets", {}).values()
        return {(int(bucket["resolution"][0]), int(bucket["resolution"][1])) for bucket in buckets}
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(text) from error
