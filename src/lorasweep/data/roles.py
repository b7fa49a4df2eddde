"""Which images are trained on and which are held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorasweep.data.folds import deal, grouped
from lorasweep.data.items import Gathered, Item
from lorasweep.data.likeness import Likeness, look_alike
from lorasweep.data.split import split
from lorasweep.errors import UserError
from lorasweep.schema import Config
from lorasweep.text.encoding import readable
from lorasweep.text.values import counted


@dataclass(frozen=True)
class Roles:
    """The images by what they are for.

    Attributes:
        training: the images that are trained on.
        heldout: those that are held out; no picture is in both.
        how: in words, what is held out.
        alike: groups of near-duplicates, which stay together in a fold.
    """

    training: list[Item]
    heldout: list[Item]
    how: str
    alike: list[list[Item]]


def divide(gathered: Gathered, config: Config, likeness: Callable[[Item], Likeness]) -> Roles:
    """Decide what is held out.

    Args:
        gathered: the images.
        config: the run.
        likeness: what an image looks like from far away, asked with folds only.

    Raises:
        UserError: fewer different images than folds, or fewer images left than a batch has.
    """
    rules, images = config.dataset, gathered.images
    alike: list[list[Item]] = []
    if rules.validation_path is not None:
        training, heldout = images, gathered.validation
        how = f"{counted(len(heldout), 'other image')} to measure the loss"
    else:
        if rules.folds is not None:
            chosen, heldout_numbers, alike = _fold(images, config, likeness)
            where = f"fold {rules.fold} of {rules.folds}"
        else:
            digests = [item.sample.facts.digest for item in images]
            chosen, heldout_numbers = split(digests, rules.holdout, config.evaluation.seed)
            where = "dataset.holdout"
        training, heldout = [images[number] for number in chosen], [images[number] for number in heldout_numbers]
        how = f"{len(heldout_numbers)} of {len(images)} images held out to measure the loss ({where})"
    if len(training) < config.training.batch_size:
        raise UserError(_too_few(len(training), len(heldout), config))
    return Roles(training, heldout, how, alike)


def _fold(
    images: Sequence[Item], config: Config, likeness: Callable[[Item], Likeness]
) -> tuple[list[int], list[int], list[list[Item]]]:
    """Return which images are trained on and which are held out with `dataset.folds`, and groups of those alike."""
    folds, fold = config.dataset.folds, config.dataset.fold
    assert folds is not None and fold is not None
    seen = [likeness(item) for item in images]
    groups = grouped(len(images), lambda one, other: look_alike(seen[one], seen[other]))
    if len(groups) < folds:
        alike = f" ({len(images)} images, near-duplicates counted once)" if len(groups) < len(images) else ""
        raise UserError(
            f"dataset.folds={folds}: {readable(config.dataset.path or '')} has {len(groups)} different images{alike}, "
            f"and each fold holds at least one out: set dataset.folds to at most {len(groups)}, or add images"
        )
    digests = [item.sample.facts.digest for item in images]
    heldout_numbers = deal(groups, digests, folds, config.evaluation.seed)[fold - 1]
    training = sorted(set(range(len(images))) - set(heldout_numbers))
    return training, heldout_numbers, [[images[number] for number in group] for group in groups if len(group) > 1]


def _too_few(training: int, heldout: int, config: Config) -> str:
    beside = "" if config.dataset.validation_path or not heldout else f" ({heldout} more held out)"
    return (
        f"{readable(config.dataset.path or '')} has {counted(training, 'training image')}{beside}, fewer than "
        f"training.batch_size={config.training.batch_size}: set training.batch_size to at most {training}, or add "
        "images"
    )
