"""From the config to the items of a run: read the folders, place in buckets, split, refuse all problems at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from lorasweep.data import captions
from lorasweep.data.buckets import (
    Placement,
    Size,
    bucket_sizes,
    bucket_without_upscale,
    nearest_bucket,
    nearest_ratio,
    place,
)
from lorasweep.data.captions import affixed
from lorasweep.data.faults import Fault, problems_of
from lorasweep.data.folder import TRAINING, Progress, Purpose, Sample, Scan, scan
from lorasweep.data.foreign import Unused
from lorasweep.data.images import BadImage, Facts
from lorasweep.data.items import Gathered, Item
from lorasweep.data.likeness import Likeness
from lorasweep.data.masks import Mask, MaskFacts, MaskFolder
from lorasweep.data.refusals import no_class, shared, taught
from lorasweep.errors import UserError
from lorasweep.schema import Config, DatasetConfig

MOST_ENLARGED = 16
"""A side that is enlarged more often than this is not a picture's: the pixels that it is made of were never there."""

VALIDATION = Purpose("dataset.validation_path", 1, example="1_trigger word")
REGULARISATION = Purpose(
    "dataset.regularisation_path",
    repeats_key="dataset.regularisation_repeats",
    example="1_woman: the class, without the trigger",
)

Tokens = Callable[[str, int], tuple[int, str]]
"""(caption, most tokens) -> how many tokens it has, and the part of it that is within the first so many."""


class Pictures(Protocol):
    """What must be known of images before any is encoded; `known.Pictures` knows it."""

    def look(self, path: Path) -> Facts:
        """Return an image's facts, or raise BadImage."""

    def likeness(self, path: Path, digest: str) -> Likeness:
        """Return what an image looks like from far away."""

    def look_mask(self, path: Path, alpha: bool) -> MaskFacts:
        """Return the facts of the mask in an image file, or raise BadImage."""

    def share(self, mask: Mask, placement: Placement) -> float:
        """Return which share of an image counts where its bucket shows it, 0..1."""


def gather(config: Config, pictures: Pictures, tokens: Tokens, progress: Progress) -> Gathered:
    """Read all folders of a run and give each image its caption, its mask and its bucket.

    Args:
        config: the run, checked; `config.dataset.path` is set.
        pictures: knows the images.
        tokens: counts a caption's tokens and cuts it.
        progress: wraps lists that take long.

    Raises:
        UserError: everything that is wrong with the folders and files.
    """
    rules = config.dataset
    gathered = Gathered()
    collector = _Collector(config, pictures, tokens, progress, gathered)
    gathered.images = collector.collect(Purpose(repeats=rules.repeats), rules.path)
    gathered.validation = collector.collect(VALIDATION, rules.validation_path)
    gathered.regularisation = collector.collect(
        replace(REGULARISATION, repeats=rules.regularisation_repeats), rules.regularisation_path
    )
    refusals = collector.refusals + shared(gathered) + no_class(gathered.images, config)
    if rules.on_bad_file == "skip":
        gathered.skipped = collector.faults
    else:
        refusals = collector.faults + refusals
    if refusals:
        raise UserError(problems_of(refusals))
    return gathered


class _Collector:
    """Reads one folder after the other; what is wrong with single files may be skipped, what is with the whole not."""

    def __init__(
        self, config: Config, pictures: Pictures, tokens: Tokens, progress: Progress, gathered: Gathered
    ) -> None:
        self.faults: list[Fault] = []
        self.refusals: list[Fault] = []
        self._config, self._pictures, self._tokens, self._progress = config, pictures, tokens, progress
        self._unused = gathered.unused
        self._bucket_of = _bucket_chooser(config.dataset, config.compat.bucket_by_ratio)
        rules, literal = config.dataset, config.compat.literal_captions
        self._read = partial(captions.read_caption, rules=rules, literal=literal)
        paths = (rules.path, rules.mask_path, rules.validation_path, rules.regularisation_path, config.output_root)
        self._folders = [Path(path) for path in paths if path is not None]

    def collect(self, purpose: Purpose, path: str | None) -> list[Item]:
        """Return the usable items of a folder; none where there is no folder.

        Args:
            purpose: what it is read for.
            path: of the folder.
        """
        if path is None:
            return []
        root = Path(path)
        inside = [folder for folder in self._folders if root.resolve() in folder.resolve().parents]
        extension = self._config.dataset.caption_extension
        found = scan(
            root,
            self._pictures.look,
            self._read,
            purpose,
            caption_extension=extension,
            without=inside,
            progress=self._progress,
        )
        self._unused += found.unused
        items = [item for sample in found.samples if (item := self._item(sample, found, purpose))]
        if purpose.key == TRAINING.key:
            items = self._with_masks(items, root, found)
        (self.faults if items else self.refusals).extend(sorted(dict.fromkeys(found.faults), key=str))
        return items

    def _item(self, sample: Sample, found: Scan, purpose: Purpose) -> Item | None:
        """Return a sample's item, or None after noting in `found` why there is none."""
        size = (sample.facts.width, sample.facts.height)
        bucket = self._bucket_of(size)
        if bucket is None:
            step = self._config.dataset.bucket_step
            found.faults.append(
                Fault(
                    f"{size[0]} x {size[1]} is smaller than dataset.bucket_step={step} and bucket_no_upscale forbids "
                    "enlarging it: delete it, or set dataset.bucket_no_upscale=false",
                    sample.path,
                    "too small to be used without enlarging",
                )
            )
            return None
        placement = place(size, bucket)
        if placement.scale > MOST_ENLARGED:
            found.faults.append(
                Fault(
                    f"is {size[0]} x {size[1]} and would be enlarged {placement.scale:.0f} times: find a larger copy, "
                    "or delete it",
                    sample.path,
                    "far too small",
                )
            )
            return None
        rules, caption = self._config.dataset, sample.caption
        if purpose.key != REGULARISATION.key:
            caption = affixed(caption, rules, literal=self._config.compat.literal_captions)
        elif fault := taught(sample, rules.trigger):  # nor a prefix, which usually is the trigger
            found.faults.append(fault)
            return None
        count, kept = self._tokens(caption, rules.max_tokens)
        return Item(sample, caption, placement, None, count, kept)

    def _with_masks(self, items: list[Item], root: Path, found: Scan) -> list[Item]:
        """Return the items with a usable mask, where masks are asked for, after noting what ails the others'."""
        rules = self._config.dataset
        if not rules.alpha_mask and rules.mask_path is None:
            return items
        folder = MaskFolder(Path(rules.mask_path), root) if rules.mask_path is not None else None
        masked = []
        for item in items:
            try:
                masked.append(replace(item, mask=self._mask(item, folder)))
            except BadImage as fault:
                found.faults.append(Fault(str(fault), item.sample.path))
        used = {item.mask.path for item in masked if item.mask}
        self._unused[:] = [unused for unused in self._unused if unused.path not in used]
        if folder is not None and root.resolve() != Path(rules.mask_path or "").resolve():
            self._unused += [Unused(path, "masks without an image") for path in folder.without_image(used)]
        return masked

    def _mask(self, item: Item, folder: MaskFolder | None) -> Mask:
        """Return the mask of an item: from a folder, or its transparency.

        Raises:
            BadImage: there is none, or it cannot be used.
        """
        path = folder.find(item.sample.path) if folder else item.sample.path
        try:
            facts = self._pictures.look_mask(path, folder is None)
        except BadImage as fault:
            raise (BadImage(f"its mask {path} {fault}") if folder else fault) from fault
        image = item.sample.facts
        if (facts.width, facts.height) != (image.width, image.height):
            raise BadImage(
                f"its mask {path} is {facts.width} x {facts.height} and it is {image.width} x {image.height}: make the "
                "mask as large as the image"
            )
        mask = Mask(path, folder is None, facts.digest)
        share = self._pictures.share(mask, item.placement)
        if not share and not self._config.loss.unmasked_weight:
            raise BadImage(
                "its mask leaves nothing of it to train: whiten what counts, delete the image, or set "
                "loss.unmasked_weight=0.1"
            )
        return replace(mask, share=share)


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
