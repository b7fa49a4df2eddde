"""From the config to the items of a run: scan the folders, split, place in buckets, refuse all problems at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from torch import Tensor

from lorasweep.config import Config, DatasetConfig
from lorasweep.data.buckets import (
    Placement,
    Size,
    bucket_sizes,
    bucket_without_upscale,
    nearest_bucket,
    nearest_ratio,
    place,
)
from lorasweep.data.captions import affixed, has_trigger
from lorasweep.data.folder import Progress, Sample, Scan, scan
from lorasweep.data.folds import deal, grouped
from lorasweep.data.images import BadImage, Facts
from lorasweep.data.likeness import Likeness, look_alike
from lorasweep.data.masks import Mask, MaskFolder
from lorasweep.data.split import split
from lorasweep.errors import UserError


@dataclass(frozen=True)
class Item:
    """One image as it takes part in a run.

    Args:
        sample: what is on disk.
        caption: the full caption (prefix and suffix included), before any draw.
        placement: how it fills its bucket.
        mask: which of its pixels count; None: all of them.
    """

    sample: Sample
    caption: str
    placement: Placement
    mask: Mask | None = None


@dataclass
class Gathered:
    """All items of a run.

    Attributes:
        training, heldout, regularisation: the items of each role; no picture is in two of them.
        skipped: what was left out because of `dataset.on_bad_file=skip`, and why.
        notes: lines worth showing before training.
    """

    training: list[Item] = field(default_factory=list)
    heldout: list[Item] = field(default_factory=list)
    regularisation: list[Item] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Pictures(Protocol):
    """What must be known of images before any is encoded; `ImageCache` knows it."""

    def look(self, path: Path) -> Facts:
        """Return an image's facts, or raise BadImage."""

    def likeness(self, path: Path, digest: str) -> Likeness:
        """Return what an image looks like from far away."""

    def look_mask(self, path: Path, alpha: bool) -> Facts:
        """Return the facts of the mask in an image file, or raise BadImage."""

    def mask(self, mask: Mask, placement: Placement) -> Tensor:
        """Return a mask where its image's latents are."""


def gather(config: Config, pictures: Pictures, latent_factor: int, progress: Progress) -> Gathered:
    """Read all folders of a run and give each image its role and its bucket.

    Args:
        config: the run, checked; `config.dataset.path` is set.
        pictures: knows the images.
        latent_factor: pixels per latent pixel of the base.
        progress: wraps lists that take long.

    Raises:
        UserError: everything that is wrong with the folders and files.
    """
    rules = config.dataset
    _check_sizes(rules, latent_factor)
    bucket_of = _bucket_chooser(rules, config.compat.bucket_by_ratio)
    gathered = Gathered()
    faults: list[str] = []  # of single files, which may be skipped
    refusals: list[str] = []  # of the whole, which may not

    def collect(
        key: str, path: str | None, affixes: tuple[str, str], repeats: int | None, repeats_key: str = "dataset.repeats"
    ) -> list[Item]:
        if path is None:
            return []
        found = scan(
            Path(path),
            pictures.look,
            key=key,
            repeats_key=repeats_key,
            repeats=repeats,
            caption_extension=rules.caption_extension,
            progress=progress,
        )
        items = _placed(found, affixes, bucket_of)
        (faults if items else refusals).extend(found.problems)
        if key != "dataset.validation_path":  # where repeats mean nothing
            gathered.notes += found.notes
        return items

    affixes = (rules.caption_prefix, rules.caption_suffix)
    samples, unmasked = _masked(collect("dataset.path", rules.path, affixes, rules.repeats), config, pictures)
    (faults if samples else refusals).extend(unmasked)
    validation = collect("dataset.validation_path", rules.validation_path, affixes, 1)
    gathered.regularisation = collect(
        "dataset.regularisation_path",
        rules.regularisation_path,
        ("", ""),  # the prefix usually holds the trigger, which these images must not learn
        rules.regularisation_repeats,
        "dataset.regularisation_repeats",
    )
    refusals += _shared(samples, validation, gathered.regularisation) + _no_class(samples, config)
    if rules.on_bad_file == "skip":
        gathered.skipped = faults
    else:
        refusals = faults + refusals
    if refusals:
        raise UserError(refusals)

    if rules.folds is not None:
        training, held, note = _fold(config, samples, pictures)
        gathered.training, gathered.heldout = [samples[i] for i in training], [samples[i] for i in held]
        gathered.notes.append(note)
    elif rules.validation_path is None:
        training, held = split([item.sample.facts.digest for item in samples], rules.holdout, config.evaluation.seed)
        gathered.training, gathered.heldout = [samples[i] for i in training], [samples[i] for i in held]
        if held:
            gathered.notes.append(
                f"{len(held)} of {len(samples)} images held out to measure the loss (dataset.holdout)"
            )
        elif rules.holdout > 0:
            gathered.notes.append("nothing is held out: that takes at least two different pictures")
    else:
        gathered.training, gathered.heldout = samples, validation
    if len(gathered.training) < config.training.batch_size:
        raise UserError(_too_few(len(gathered.training), len(gathered.heldout), config))
    gathered.notes += _caption_notes(samples, rules.trigger) + _copies(samples)
    return gathered


def _fold(config: Config, samples: Sequence[Item], pictures: Pictures) -> tuple[list[int], list[int], str]:
    """Return which images are trained on and which are held out with `dataset.folds`, and how to say so."""
    folds, fold = config.dataset.folds, config.dataset.fold
    assert folds is not None and fold is not None
    digests = [item.sample.facts.digest for item in samples]
    seen = [pictures.likeness(item.sample.path, item.sample.facts.digest) for item in samples]
    groups = grouped(len(samples), lambda one, other: look_alike(seen[one], seen[other]))
    if len(groups) < folds:
        alike = f" ({len(samples)} images, near-duplicates counted once)" if len(groups) < len(samples) else ""
        raise UserError(
            f"dataset.folds={folds}: {config.dataset.path} has {len(groups)} different images{alike}, and each fold "
            f"holds at least one out: set dataset.folds to at most {len(groups)}, or add images"
        )
    held = deal(groups, digests, folds, config.evaluation.seed)[fold - 1]
    training = sorted(set(range(len(samples))) - set(held))
    note = f"{len(held)} of {len(samples)} images held out to measure the loss (fold {fold} of {folds})"
    several = [group for group in groups if len(group) > 1]
    if several:
        names = _few([samples[number].sample.path.name for number in several[0]])
        more = f", and {len(several) - 1} more such groups" if len(several) > 1 else ""
        note += f"; near-duplicates stay in one fold: {names}{more}"
    return training, held, note


def _check_sizes(rules: DatasetConfig, latent_factor: int) -> None:
    """Refuse sizes that leave part of a latent pixel; of a base from the hub this is only known once it is loaded."""
    key, value = ("bucket_step", rules.bucket_step) if rules.buckets else ("resolution", rules.resolution)
    if value % latent_factor:
        raise UserError(f"dataset.{key}={value}: expected a multiple of {latent_factor}, a latent pixel of this base")


def _bucket_chooser(rules: DatasetConfig, by_ratio: bool) -> Callable[[Size], Size | None]:
    """Return the function from an image's size to its bucket (None: too small for any).

    `by_ratio` is of no account where no image is enlarged: there the image makes its own bucket.
    """
    if not rules.buckets:
        return lambda size: (rules.resolution, rules.resolution)
    if rules.bucket_no_upscale:
        return lambda size: bucket_without_upscale(size, rules.resolution, rules.bucket_step)
    sizes = bucket_sizes(rules.resolution, rules.bucket_min, rules.bucket_max, rules.bucket_step)
    nearest = nearest_ratio if by_ratio else nearest_bucket
    return lambda size: nearest(size, sizes)


def _placed(found: Scan, affixes: tuple[str, str], bucket_of: Callable[[Size], Size | None]) -> list[Item]:
    items = []
    for sample in found.samples:
        size = (sample.facts.width, sample.facts.height)
        bucket = bucket_of(size)
        if bucket is None:
            found.problems.append(
                f"{sample.path}: {size[0]} x {size[1]} is smaller than dataset.bucket_step and bucket_no_upscale"
                " forbids enlarging it: delete it, or set dataset.bucket_no_upscale=false"
            )
        else:
            items.append(Item(sample, affixed(sample.caption, *affixes), place(size, bucket)))
    return items


def _masked(items: list[Item], config: Config, pictures: Pictures) -> tuple[list[Item], list[str]]:
    """Return the items with a usable mask, where masks are asked for, and a problem for each of the others."""
    rules = config.dataset
    if not rules.alpha_mask and rules.mask_path is None:
        return items, []
    assert rules.path is not None
    folder = MaskFolder(Path(rules.mask_path), Path(rules.path)) if rules.mask_path is not None else None
    masked, problems = [], []
    for item in items:
        image = item.sample.path
        try:
            path = folder.find(image) if folder else image
            mask = Mask(path, rules.alpha_mask, _mask_digest(path, item, pictures, rules.alpha_mask))
        except BadImage as fault:
            problems.append(f"{image}: {fault}")
            continue
        if config.loss.unmasked_weight or pictures.mask(mask, item.placement).any():
            masked.append(replace(item, mask=mask))
        else:
            problems.append(
                f"{image}: its mask leaves nothing of it to train: whiten what counts, delete the image, or set "
                "loss.unmasked_weight=0.1"
            )
    return masked, problems


def _mask_digest(path: Path, item: Item, pictures: Pictures, alpha: bool) -> str:
    try:
        facts = pictures.look_mask(path, alpha)
    except BadImage as fault:
        raise (fault if alpha else BadImage(f"its mask {path} {fault}")) from fault
    image = item.sample.facts
    if (facts.width, facts.height) != (image.width, image.height):
        raise BadImage(
            f"its mask {path} is {facts.width} x {facts.height} and it is {image.width} x {image.height}: make the "
            "mask as large as the image"
        )
    return facts.digest


def _no_class(training: Sequence[Item], config: Config) -> list[str]:
    """Return a problem where no caption has the trigger that `loss.preservation_class` takes the place of."""
    word, trigger = config.loss.preservation_class, config.dataset.trigger
    if not (word and training) or any(has_trigger(item.caption, trigger) for item in training):
        return []
    return [
        f'loss.preservation_class={word} changes nothing: no caption has the trigger "{trigger}" that it would take '
        f'the place of; set dataset.caption_prefix="{trigger},"'
    ]


def _shared(training: Sequence[Item], validation: Sequence[Item], regularisation: Sequence[Item]) -> list[str]:
    """Return a problem for each picture that is in two of the three folders."""
    problems = []
    pairs = [
        (training, validation, "in dataset.path and in dataset.validation_path"),
        (regularisation, validation, "in dataset.regularisation_path and in dataset.validation_path"),
        (training, regularisation, "in dataset.path and in dataset.regularisation_path"),
    ]
    for left, right, where in pairs:
        seen = {item.sample.facts.digest: item.sample.path for item in left}
        for item in right:
            if other := seen.get(item.sample.facts.digest):
                problems.append(f"{other} and {item.sample.path} are the same picture, {where}: delete one")
    return problems


def _too_few(training: int, heldout: int, config: Config) -> str:
    beside = "" if config.dataset.validation_path or not heldout else f" ({heldout} more held out)"
    return (
        f"{config.dataset.path} has {training} training image{'s' * (training != 1)}{beside}, fewer than"
        f" training.batch_size={config.training.batch_size}: set training.batch_size to at most {training},"
        " or add images"
    )


def _caption_notes(items: Sequence[Item], trigger: str) -> list[str]:
    without = [item.sample.path.name for item in items if not item.caption.lower().startswith(trigger.lower())]
    if not without:
        return []
    return [
        f'{len(without)} of {len(items)} captions do not begin with the trigger "{trigger}" ({_few(without)}):'
        f' unless that is meant, set dataset.caption_prefix="{trigger},"'
    ]


def _copies(items: Iterable[Item]) -> list[str]:
    same: dict[str, list[str]] = defaultdict(list)
    for item in items:
        same[item.sample.facts.digest].append(item.sample.path.name)
    return [f"the same picture several times: {_few(names)}" for names in same.values() if len(names) > 1]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
