"""A search space that follows the dataset: `sweeps=adaptive`.

What a LoRA can learn without learning by heart depends on how many images there are, and on how much they differ:
ten shots of one pose are not ten images. So the images are counted with a weight:

- A picture that is nearly the same as one before it (a crop, another exposure, a mirror image: `data.likeness`) does
  not count.
- Each becomes a thumbnail of 16 x 16 colours; the distance of two is the root mean square of their difference (0:
  equal, 1: black and white), the mean distance of all pairs is the set's variety. From 0.2 on every picture counts
  fully; below, in proportion. (12 unrelated photographs measured 0.23, the five drawn themes 0.32 to 0.36, one
  drawing turned in steps of 5 degrees 0.18, its crops and exposures 0.06.)

The ranks are the seeds' experience: sets of 8 and 15 images ended at rank 8, sets of 19 to 42 at rank 16, and rank 32
overfitted 8 images; fewer or more go on by the same doubling, which nobody has measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from lorasweep.data import captions
from lorasweep.data.faults import problems_of
from lorasweep.data.folder import scan
from lorasweep.data.images import Facts, open_image, pixel_digest
from lorasweep.data.likeness import Likeness, likeness, look_alike
from lorasweep.data.providers import provider
from lorasweep.errors import UserError
from lorasweep.schema import Config

SIDE = 16
FULL_VARIETY = 0.2

# Up to so many counted images, these ranks.
_RANKS = ((5, (2, 4, 8)), (17, (4, 8, 16)), (50, (8, 16, 32)))
_MANY = (16, 32, 64)
# Up to so many counted images, dropout is tried as well: the seeds' small sets were the ones learnt by heart.
_FEW = 17
# The learning rate is searched so many times below and above the recipe's.
_RATES = 5


@dataclass(frozen=True)
class Variety:
    """How many images a set has, and how much they differ.

    Attributes:
        images: all of them.
        distinct: those that are not nearly the same as an earlier one.
        spread: mean distance of all pairs, 0 to 1; 0 for a single image.
    """

    images: int
    distinct: int
    spread: float

    @property
    def counted(self) -> float:
        """The images that count: the distinct ones, less where all are much alike; at least 1."""
        return max(1.0, self.distinct * min(1.0, self.spread / FULL_VARIETY))


@dataclass(frozen=True)
class Seen:
    """What is measured of one picture.

    Attributes:
        colours: (16, 16, 3), 0 to 1: the mean colour of each part.
        likeness: what tells near copies.
    """

    colours: NDArray[np.float64]
    likeness: Likeness

    @classmethod
    def of(cls, image: Image.Image) -> Seen:
        """Look at an image."""
        plain = image.convert("RGB")
        small = plain.resize((SIDE, SIDE), Image.Resampling.BOX)
        return cls(np.asarray(small, dtype=np.float64) / 255, likeness(plain))


def params(config: Config | DictConfig) -> dict[str, str]:
    """Return the sweeps that suit a config's dataset, by key, and print why (for `hydra.sweeper.params_from`).

    Raises:
        UserError: there are no images, or one of them cannot be read.
    """
    found, reasons = space(variety(_pictures(config)), float(_value(config, "optimizer.lr")))
    for reason in reasons:
        print(reason)
    return found


def space(dataset: Variety, rate: float) -> tuple[dict[str, str], list[str]]:
    """Return the sweeps by key, and in words why.

    Args:
        dataset: what was measured.
        rate: the recipe's learning rate.
    """
    count = dataset.counted
    ranks = next((ranks for most, ranks in _RANKS if round(count) <= most), _MANY)
    sweeps = {
        "network.rank": f"choice({', '.join(map(str, ranks))})",
        "optimizer.lr": f"tag(log, interval({rate / _RATES:.2g}, {rate * _RATES:.2g}))",
    }
    copies = dataset.images - dataset.distinct
    counted = f"{dataset.images} images"
    counted += f", {copies} of them near copies" if copies else ""
    counted += f", variety {dataset.spread:.2f} (full: {FULL_VARIETY})"
    reasons = [f"{counted}: they count as {count:.0f}, so the ranks are {', '.join(map(str, ranks))}"]
    if round(count) <= _FEW:
        sweeps["network.dropout"] = "choice(0.0, 0.1)"
        reasons.append("few images are soon learnt by heart, so dropout is tried too")
    reasons.append(f"the recipe's learning rate is {rate:g}, so {rate / _RATES:.2g} to {rate * _RATES:.2g} is searched")
    return sweeps, reasons


def variety(pictures: Sequence[Seen]) -> Variety:
    """Measure a set of at least one picture; the order decides only which of two near copies counts."""
    rows = np.stack([picture.colours.ravel() for picture in pictures])
    distances = np.stack([np.sqrt(((rows - row) ** 2).mean(axis=1)) for row in rows])
    distinct: list[Likeness] = []
    for picture in pictures:
        if not any(look_alike(picture.likeness, other) for other in distinct):
            distinct.append(picture.likeness)
    pairs = len(rows) * (len(rows) - 1)
    return Variety(len(rows), len(distinct), float(distances.sum() / pairs) if pairs else 0.0)


def _pictures(config: Config | DictConfig) -> list[Seen]:
    """Look at a config's images, in the order of their paths, or at its theme's drawings."""
    path, theme = _value(config, "dataset.path"), _value(config, "dataset.theme")
    if path is None and theme is None:
        raise UserError("dataset.path is not set: give the folder of your images and captions with dataset.path=FOLDER")
    if path is None:
        return [Seen.of(picture.image) for picture in provider(theme).draw()]
    background = _value(config, "dataset.background")
    seen: dict[Path, Seen] = {}

    def look(file: Path) -> Facts:
        image = open_image(file, background)
        seen[file] = Seen.of(image)
        return Facts(image.width, image.height, pixel_digest(image))

    rules = _value(config, "dataset")
    read = partial(captions.read_caption, rules=rules, literal=_value(config, "compat.literal_captions"))
    found = scan(Path(path), look, read, caption_extension=rules.caption_extension)
    if found.faults and (rules.on_bad_file == "stop" or not found.samples):
        raise UserError(problems_of(found.faults))
    return [seen[sample.path] for sample in found.samples]


def _value(config: Config | DictConfig, key: str) -> Any:
    plain = config if isinstance(config, DictConfig) else OmegaConf.structured(config)
    return OmegaConf.select(plain, key)
