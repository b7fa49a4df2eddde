"""Cells: generated images on the disk, found again by all that decides them, so that none is drawn twice.

`<output_root>/.cells/<2 hex>/<32 hex>.png` and a JSON file beside it that says what the image is of, which weights made
it and how far it is from what the bare base draws instead. The JSON is written last: a cell is whole, or there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from lorasweep import files
from lorasweep.data.images import pixel_digest
from lorasweep.evaluation.cell_keys import CellKey

FOLDER = ".cells"
"""Below the output root."""


@dataclass(frozen=True)
class Cell:
    """One generated image.

    Attributes:
        path: of its PNG.
        key: all that decided it.
        pixels: SHA-256 of its pixels: equal for equal pictures.
        distance: how far it is from what the bare base draws (`distance`); None of the base's own.
        seconds: that it took to draw.
    """

    path: Path
    key: CellKey
    pixels: str
    distance: float | None
    seconds: float

    @property
    def digest(self) -> str:
        """What names it."""
        return self.path.stem

    def image(self) -> Image.Image:
        """Return the picture, as RGB."""
        with Image.open(self.path) as image:
            return image.convert("RGB")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the cell of a PNG.

        Args:
            path: of the PNG.

        Raises:
            OSError: there is none.
            ValueError: what lies beside it is no description of a cell.
        """
        about = json.loads(path.with_suffix(".json").read_text())
        try:
            key = CellKey.parse(about["key"])
            return cls(path, key, about["pixels"], about["distance"], about["seconds"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.with_suffix('.json')} describes no cell: {error}") from None


class Cells:
    """The cells of an output root.

    Args:
        output_root: folder of all versions.
    """

    def __init__(self, output_root: Path | str) -> None:
        self.folder = Path(output_root) / FOLDER

    def __iter__(self) -> Iterator[Cell]:
        """Yield every cell that is whole."""
        for about in sorted(self.folder.glob("??/*.json")):
            if (cell := self._read(about.with_suffix(".png"))) is not None:
                yield cell

    def path(self, digest: str) -> Path:
        """Return where the PNG of a cell is, whether there or not.

        Args:
            digest: `CellKey.digest`.
        """
        return self.folder / digest[:2] / f"{digest}.png"

    def find(self, key: CellKey) -> Cell | None:
        """Return the image of a key, if it was drawn."""
        return self._read(self.path(key.digest))

    def get(self, digest: str) -> Cell | None:
        """Return a cell by what names it, such as records keep it."""
        return self._read(self.path(digest))

    def add(self, key: CellKey, image: Image.Image, seconds: float = 0.0) -> Cell:
        """Keep an image that was drawn, atomically.

        Args:
            key: all that decided it. With weights on the base, the base's own must have been drawn before: the
                distance is to that.
            image: RGB.
            seconds: that it took.

        Raises:
            OSError: the disk is full or the like.
        """
        path = self.path(key.digest)
        apart = None
        if key.applied and (bare := self.find(key.bare)) is not None:
            apart = distance(image, bare.image())
        cell = Cell(path, key, pixel_digest(image), apart, round(seconds, 3))
        about: dict[str, Any] = {
            "key": key.plain(),
            "pixels": cell.pixels,
            "distance": apart,
            "seconds": cell.seconds,
        }
        with files.writing(path) as temporary:
            image.save(temporary, format="PNG")
        files.write_json(path.with_suffix(".json"), about)
        return cell

    def _read(self, path: Path) -> Cell | None:
        try:
            return Cell.read(path) if path.exists() else None
        except (OSError, ValueError):
            return None  # drawn again


def distance(image: Image.Image, other: Image.Image) -> float:
    """Return the mean absolute difference of two pictures, over pixels and channels, in [0, 1]; 1 if of other sizes.

    Args:
        image: RGB.
        other: RGB.
    """
    if image.size != other.size:
        return 1.0
    first, second = (np.asarray(each.convert("RGB"), dtype=np.int16) for each in (image, other))
    return float(np.abs(first - second).mean() / 255)
