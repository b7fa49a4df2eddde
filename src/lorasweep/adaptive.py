"""A search space that follows the dataset: `sweeps=adaptive`.

What a LoRA can learn without learning by heart depends on how many images there are, and on how much they differ:
ten shots of one pose are not ten images. So the images are counted with a weight:

- Each image becomes a thumbnail of 16 x 16 colours; the distance of two is the root mean square of their difference
  (0: equal, 1: black and white).
- An image nearer than 0.05 to one before it is a near copy and does not count. (Other crops, sizes, qualities and
  exposures of one picture measured 0.002 to 0.06 to their nearest; different drawings and photographs 0.04 and more,
  0.14 to 0.2 on average.)
- The mean distance of all pairs is the set's variety. From 0.2 on every image counts fully; below, in proportion.
  (12 unrelated photographs measured 0.23, the five drawn themes 0.32 to 0.36, one drawing turned in steps 0.18.)

The ranks are the seeds' experience: sets of 8 and 15 images ended at rank 8, sets of 19 to 42 at rank 16, and rank 32
overfitted 8 images; fewer or more go on by the same doubling, which nobody has measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from lorasweep.config import Config
from lorasweep.data.folder import scan
from lorasweep.data.images import Facts, open_image, pixel_digest
from lorasweep.errors import UserError

SIDE = 16
NEAR_COPY = 0.05
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
        distinct: those that are no near copy of an earlier one.
        spread: mean distance of all pairs, 0 to 1; 0 for a single image.
    """

    images: int
    distinct: int
    spread: float

    @property
    def counted(self) -> float:
        """The images that count: the distinct ones, less where all are much alike; at least 1."""
        return max(1.0, self.distinct * min(1.0, self.spread / FULL_VARIETY))


def params(config: Config | DictConfig) -> dict[str, str]:
    """Return the sweeps that suit a config's dataset, by key, and print why (for `hydra.sweeper.params_from`).

    Raises:
        UserError: there are no images, or one of them cannot be read.
    """
    found, reasons = space(variety(_thumbnails(config)), float(_value(config, "optimizer.lr")))
    for reason in reasons:
        print(reason)
    return found


def space(dataset: Variety, rate: float) -> tuple[dict[str, str], list[str]]:
    """Return the sweeps by key, and in words why.

    Args:
        dataset: what was measured. rate: the recipe's learning rate.
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


def variety(thumbnails: Sequence[NDArray[np.float64]]) -> Variety:
    """Measure a set by its thumbnails.

    Args:
        thumbnails: arrays of one shape, values 0 to 1; their order decides which of two near copies counts.
    """
    rows = np.stack([thumbnail.ravel() for thumbnail in thumbnails])
    distances = np.stack([np.sqrt(((rows - row) ** 2).mean(axis=1)) for row in rows])
    kept: list[int] = []
    for place in range(len(rows)):
        if all(distances[place, other] >= NEAR_COPY for other in kept):
            kept.append(place)
    pairs = len(rows) * (len(rows) - 1)
    return Variety(len(rows), len(kept), float(distances.sum() / pairs) if pairs else 0.0)


def thumbnail(image: Image.Image) -> NDArray[np.float64]:
    """Return an image as (16, 16, 3) colours from 0 to 1, each the mean of its part of the picture."""
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _thumbnails(config: Config | DictConfig) -> list[NDArray[np.float64]]:
    """Return the thumbnails of a config's images, in the order of their paths, or of its theme's drawings."""
    path, theme = _value(config, "dataset.path"), _value(config, "dataset.theme")
    if path is None and theme is None:
        raise UserError("dataset.path is not set: give the folder of your images and captions with dataset.path=FOLDER")
    if path is None:
        from lorasweep.toy.themes import draw_theme

        return [thumbnail(drawing.image) for drawing in draw_theme(theme)]
    background = _value(config, "dataset.background")
    thumbnails: dict[Path, NDArray[np.float64]] = {}

    def look(file: Path) -> Facts:
        image = open_image(file, background)
        thumbnails[file] = thumbnail(image)
        return Facts(image.width, image.height, pixel_digest(image))

    found = scan(Path(path), look, caption_extension=_value(config, "dataset.caption_extension"))
    if found.problems and (_value(config, "dataset.on_bad_file") == "stop" or not found.samples):
        raise UserError(found.problems)
    return [thumbnails[sample.path] for sample in found.samples]


def _value(config: Config | DictConfig, key: str) -> Any:
    plain = config if isinstance(config, DictConfig) else OmegaConf.structured(config)
    return OmegaConf.select(plain, key)
