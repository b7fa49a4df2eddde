"""The data of one run: what its images are, which batch comes at which step, and what the batch holds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from lorasweep.data import captions
from lorasweep.data.batch import Batch, HeldoutImage
from lorasweep.data.buckets import Size
from lorasweep.data.cache import TensorCache
from lorasweep.data.folder import Progress
from lorasweep.data.items import Item
from lorasweep.data.known import KnownFacts, Pictures, cache_folder
from lorasweep.data.latents import ImageCache
from lorasweep.data.manifest import manifest
from lorasweep.data.plan import Plan
from lorasweep.data.seen import SeenImage, seen_images
from lorasweep.data.survey import Survey, plan_of, survey
from lorasweep.errors import UserError
from lorasweep.families.base import ImageEncoder, ImageFacts
from lorasweep.randomness import Row, generator, random_for
from lorasweep.schema import Config, DatasetConfig, TrainingConfig
from lorasweep.text.encoding import readable


class Dataset:
    """Training, held-out and regularisation images of one run. Made by `Dataset.build`.

    Attributes:
        plan: which rows are trained at which step.
        cache: the store of latents and text embeddings (for `TextCache` too).
        images: usable images in `dataset.path`, held-out ones included.
        sha256: digest over pixels and captions of every image that takes part: equal for equal data, whatever the
            files are called.
        heldout_sha256: digest over the held-out images, their captions and crops: equal for an equal measure.
        manifest: its pictures one by one, to tell later what has changed.
        skipped: files left out because of `dataset.on_bad_file=skip`, each with the reason.
        report: what there is to say of the data.
    """

    @classmethod
    def build(
        cls,
        config: Config,
        base: ImageEncoder,
        seen: Survey | None = None,
        *,
        print_line: Callable[[str], None] = print,
        progress: Progress = lambda things, description: things,
    ) -> Dataset:
        """Read the folders and encode every image that was never encoded before.

        Args:
            config: the run; `config.dataset.path` is set.
            base: encodes images.
            seen: the survey of the data, told already; None makes and tells one.
            print_line: shows a line to the user.
            progress: wraps lists that take long, as `rich.progress.track(things, description)` does.

        Raises:
            UserError: everything that is wrong with the data, at once.
        """
        _check_sizes(config.dataset, base.pixels_per_latent)
        if seen is None:
            seen = survey(config, progress=progress)
            for line in seen.report.lines():
                print_line(line)
        cache = TensorCache(cache_folder(config))
        pictures = Pictures(KnownFacts(cache_folder(config)), config.dataset.background)
        images = ImageCache(base, cache, pictures, area=config.compat.area_shrinking)
        dataset = cls(config, seen, images, cache)
        dataset._encode(progress)
        return dataset

    def __init__(
        self,
        config: Config,
        seen: Survey,
        pictures: ImageCache,
        cache: TensorCache,
    ) -> None:
        self._rules, self._seed, self._prior_weight = (
            config.dataset,
            config.seed,
            config.loss.prior_loss_weight,
        )
        self._training, self._heldout = seen.training, seen.heldout
        self._items = seen.training + seen.regularisation  # Row.item counts these
        self._masked = any(item.mask is not None for item in self._items)
        self._compat = config.compat
        self._class, self._trigger = config.loss.preservation_class, config.dataset.trigger
        self._pictures = pictures
        self.cache = cache
        self.skipped, self.images, self.report = seen.skipped, seen.images, seen.report
        self.sha256, self.heldout_sha256 = _digest(seen), _heldout_digest(seen)
        self.manifest = manifest(seen, config.dataset)
        self._config, self._survey = config, seen
        self.plan = self.plan_for(config.training)

    def plan_for(self, training: TrainingConfig) -> Plan:
        """Return which rows are trained at which step with these settings."""
        return plan_of(replace(self._config, training=training), self._survey)

    def batch(self, rows: Sequence[Row]) -> Batch:
        """Return what these rows, all of one bucket, are trained on: a pure function of the run's seed and the rows."""
        items = [self._items[row.item] for row in rows]
        flips = [self._flipped(row) for row in rows]
        latents = torch.stack([self._draw(row, flip) for row, flip in zip(rows, flips, strict=True)])
        return Batch(
            rows=list(rows),
            latents=latents,
            captions=[
                captions.augmented(item.caption, self._rules, self._seed, row)
                for item, row in zip(items, rows, strict=True)
            ],
            facts=[self._facts(item, flip) for item, flip in zip(items, flips, strict=True)],
            weights=torch.tensor([1.0 if row.item < len(self._training) else self._prior_weight for row in rows]),
            masks=self._masks(items, flips, latents),
        )

    def heldout(self) -> list[HeldoutImage]:
        """Return the held-out images as they are measured: the mean of each one's latents, its caption, its facts."""
        return [
            HeldoutImage(self._latents(item, flip=False, draws=None), item.caption, self._facts(item, flip=False))
            for item in self._heldout
        ]

    @property
    def heldout_count(self) -> int:
        """Number of held-out images."""
        return len(self._heldout)

    def seen(self, *, heldout: bool) -> list[SeenImage]:
        """Return the held-out or the training images as the model sees them, not opened yet."""
        return seen_images(self._heldout if heldout else self._training, self._pictures)

    def training_images(self, count: int) -> list[Image.Image]:
        """Return at most `count` training images, from all over the folder, as the model sees them."""
        known = len(self._training)
        chosen = range(known) if known <= count else [index * known // count for index in range(count)]
        return [image.open() for image in seen_images([self._training[index] for index in chosen], self._pictures)]

    def captions(self) -> list[str]:
        """Return every caption that can be known before training, sorted: all full ones, those of the class with
        `loss.preservation_class`, and "" with caption dropout.

        Shuffled or thinned captions are only known when they are drawn.
        """
        known = {item.caption for item in self._items + self._heldout}
        if self._class:
            known |= {captions.of_class(item.caption, self._trigger, self._class) for item in self._items}
        return sorted(known | ({""} if self._rules.caption_dropout else set()))

    def tag_frequency(self) -> dict[str, dict[str, int]]:
        """Return {folder: {tag: number of training images}}, tags in lower case, as kohya's metadata has it.

        Tags that are cut off at `dataset.max_tokens` do not count, unless they are shuffled and so have their turn.
        """
        frequency: dict[str, Counter[str]] = {}
        for item in self._training:
            trained = item.caption if self._rules.shuffle_tags else item.kept
            tags = captions.tags_of(trained.lower(), self._rules.caption_separator or ",")
            frequency.setdefault(readable(item.sample.folder), Counter()).update(tags)
        return {folder: dict(counts) for folder, counts in frequency.items()}

    def folders(self, *, regularisation: bool = False) -> dict[str, dict[str, int]]:
        """Return {folder: {"n_repeats": .., "img_count": ..}} as kohya's metadata has it.

        Args:
            regularisation: of the regularisation images instead of the training images.
        """
        count = len(self._training)
        found: dict[str, dict[str, int]] = {}
        for item in self._items[count:] if regularisation else self._items[:count]:
            entry = found.setdefault(readable(item.sample.folder), {"n_repeats": item.sample.repeats, "img_count": 0})
            entry["img_count"] += 1
        return found

    def mean_aspect_error(self) -> float:
        """Return the mean of |aspect ratio of an image - that of its bucket| over the training images."""
        placements = [item.placement for item in self._training]
        errors = [abs(p.original[0] / p.original[1] - p.bucket[0] / p.bucket[1]) for p in placements]
        return sum(errors) / len(errors)

    def bucket_counts(self) -> dict[Size, int]:
        """Return {(width, height): training and regularisation images, with repeats}, sorted, as kohya counts them."""
        counts: Counter[Size] = Counter()
        for item in self._items:
            counts[item.placement.bucket] += item.sample.repeats
        return dict(sorted(counts.items()))

    def _encode(self, progress: Progress) -> None:
        for item in progress(self._items + self._heldout, "encoding images"):
            self._latents(item, flip=False, draws=None)
        if self._rules.flip:
            for item in progress(self._items, "encoding mirrored images"):
                self._latents(item, flip=True, draws=None)

    def _latents(self, item: Item, *, flip: bool, draws: torch.Generator | None) -> Tensor:
        facts = item.sample.facts
        return self._pictures.latents(item.sample.path, facts.digest, item.placement, flip=flip, draws=draws)

    def _masks(self, items: Sequence[Item], flips: Sequence[bool], latents: Tensor) -> Tensor | None:
        if not self._masked:
            return None
        masks = torch.ones_like(latents[:, :1])
        for number, (item, flip) in enumerate(zip(items, flips, strict=True)):
            if item.mask is not None:
                mask = self._pictures.mask(item.mask, item.placement)
                masks[number] = mask.flip(-1) if flip else mask
        return masks

    def _draw(self, row: Row, flip: bool) -> Tensor:
        if self._compat.frozen_latents:
            draws = generator(self._seed, "frozen posterior", row.item, int(flip))
        else:
            draws = generator(self._seed, "posterior", row.item, row.repeat, row.epoch)
        return self._latents(self._items[row.item], flip=flip, draws=draws)

    def _facts(self, item: Item, flip: bool) -> ImageFacts:
        return item.placement.facts(flip=flip, letterbox=self._compat.letterbox_offsets)

    def _flipped(self, row: Row) -> bool:
        if not self._rules.flip:
            return False
        return random_for(self._seed, "flip", row.item, row.repeat, row.epoch).random() < 0.5


def _check_sizes(rules: DatasetConfig, pixels_per_latent: int) -> None:
    """Refuse sizes that leave part of a latent pixel; of a base from the hub this is only known once it is loaded."""
    key, value = ("bucket_step", rules.bucket_step) if rules.buckets else ("resolution", rules.resolution)
    if value % pixels_per_latent:
        raise UserError(
            f"dataset.{key}={value}: expected a multiple of {pixels_per_latent}, a latent pixel of this base"
        )


def _heldout_digest(seen: Survey) -> str:
    """Digest what the held-out loss is measured on; its order counts, as it decides the draws."""
    lines = [f"{item.sample.facts.digest} {item.caption} {item.placement}" for item in seen.heldout]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(seen: Survey) -> str:
    """Digest what the run learns from and is measured on; a picture's role counts, but not the split by `holdout`."""
    lines = [("image", item) for item in seen.training + seen.heldout]
    lines += [("regularisation", item) for item in seen.regularisation]
    text = sorted(
        f"{role} {item.sample.facts.digest} {item.sample.caption}" + (f" mask {item.mask.digest}" if item.mask else "")
        for role, item in lines
    )
    return hashlib.sha256("\n".join(text).encode()).hexdigest()
