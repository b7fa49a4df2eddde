"""Which pixels of a training image count: masks from a folder, or from the image's transparency."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorasweep.data.images import EXTENSIONS, BadImage, open_image, open_mask, pixel_digest
from lorasweep.data.pairing import loosely
from lorasweep.text.shell import shell_quoted

FOLDERS = frozenset({"mask", "masks", "masklabel", "masklabels"})
"""Names of folders in which other programs keep masks beside images."""

_AFTER = re.compile(
    r"(.+)[-_. ](masklabel|mask|alpha|matte|segmentation|condlabel|canny|depth|lineart|openpose)", re.IGNORECASE
)
_BEFORE = re.compile(r"mask[-_. ](.+)", re.IGNORECASE)
_WHITEN = (
    'python -c "import sys, numpy as n; from PIL import Image as I; '
    "[I.fromarray(((n.asarray(I.open(f)) > 0) * 255).astype('uint8')).save(f) for f in sys.argv[1:]]\" {path}"
)
_KINDS = {"masklabel": "masks of OneTrainer", **dict.fromkeys(("mask", "alpha", "matte", "segmentation"), "masks")}

DARKEST_WHITE = 16
"""Of 255: a mask whose brightest pixel is darker was not made to be looked at, such as one of zeros and ones."""

COLOURED = 48
"""Of 255: a pixel whose red, green and blue are farther apart is no grey that JPEG left a little colour in."""


@dataclass(frozen=True)
class MaskFacts:
    """What must be known of a mask before it is used.

    Args:
        width: pixels, after EXIF rotation.
        height: pixels, after EXIF rotation.
        digest: `pixel_digest` of the opened mask.
    """

    width: int
    height: int
    digest: str


@dataclass(frozen=True)
class Mask:
    """The mask of one image, as it is on disk.

    Args:
        path: the file that holds it: of its own, or the image itself.
        alpha: whether it is that file's alpha channel rather than its brightness.
        digest: `pixel_digest` of the mask, as large as its image.
        share: what counts of the part that the bucket shows, 0..1.
    """

    path: Path
    alpha: bool
    digest: str
    share: float = 1.0


def mask_facts(path: Path, alpha: bool) -> MaskFacts:
    """Return the facts of the mask in an image file; `alpha` as `images.open_mask` has it.

    Raises:
        BadImage: as `images.open_mask`, or its values cannot be meant as a mask's.
    """
    if alpha:
        mask = open_mask(path, alpha)
        return MaskFacts(mask.width, mask.height, pixel_digest(mask))
    image = open_image(path, "black")
    levels, mask = np.asarray(image), image.convert("L")
    brightest = int(levels.max())
    if 0 < brightest < DARKEST_WHITE:
        command = _WHITEN.format(path=shell_quoted(path))
        raise BadImage(
            f"has no pixel brighter than {brightest} of 255, where white (255) counts: if all that is not 0 counts, "
            f"run `{command}`"
        )
    if np.mean(np.ptp(levels, axis=-1) > COLOURED) > 0.01:
        raise BadImage("has colours, of which none says whether a pixel counts: save it in black, white and greys")
    return MaskFacts(mask.width, mask.height, pixel_digest(mask))


def beside(stem: str) -> tuple[str, str] | None:
    """Return the image's stem and the kind of a file that other programs name after an image, such as `a-masklabel`."""
    if found := _AFTER.fullmatch(stem):
        return found[1], _KINDS.get(found[2].lower(), "conditioning images")
    found = _BEFORE.fullmatch(stem)
    return (found[1], _KINDS["mask"]) if found else None


def mirrored(pictures: Collection[Path], images: Collection[Path], root: Path) -> dict[Path, tuple[Path, Path]]:
    """Return those pictures that are masks in a folder of masks, laid out as the images are in another one.

    Such as `masks/a.png` and `images/a.png`.

    Args:
        pictures: that have no caption file.
        images: all pictures.
        root: the folder that they are below.

    Returns:
        For each its folder of masks and the folder of the images.
    """
    around = {picture: _folder_around(picture, root) for picture in pictures}
    homes: dict[str, Path] = {}
    for image in images:
        if not _folder_around(image, root):
            for home in list(image.parents)[: len(image.relative_to(root).parts)]:
                homes[loosely(str(image.relative_to(home).with_suffix("")))] = home
    return {
        picture: (folder, of_images)
        for picture, folder in around.items()
        if folder and (of_images := homes.get(loosely(str(picture.relative_to(folder).with_suffix("")))))
    }


def _folder_around(picture: Path, root: Path) -> Path | None:
    """Return the outermost folder of masks around a picture, below `root`."""
    inside = list(picture.parents)[: len(picture.relative_to(root).parts) - 1]
    return next((folder for folder in reversed(inside) if folder.name.lower() in FOLDERS), None)


class MaskFolder:
    """A folder of masks, each placed and named as its image is.

    As other programs have them, one may also be named after it, such as `a-masklabel.png`, or lie in a folder `masks`
    beside it.

    Args:
        folder: of the masks; it may be that of the images.
        images: folder of the images.
    """

    def __init__(self, folder: Path, images: Path) -> None:
        self._folder, self._images = folder, images
        self._files: dict[str, list[Path]] = {}  # path below the folder without extension -> files
        self._beside_images = folder.resolve() == images.resolve()
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in EXTENSIONS or path.name.startswith("."):
                continue
            named, inside = beside(path.stem), path.relative_to(folder)
            place = [part for part in inside.parts[:-1] if part.lower() not in FOLDERS]
            if named and named[1] in _KINDS.values():
                self._add(Path(*place, named[0]), path)
            if not self._beside_images or len(place) < len(inside.parts) - 1:
                self._add(Path(*place, inside.stem), path)

    def find(self, image: Path) -> Path:
        """Return the mask's file of an image.

        Raises:
            BadImage: there is none, or more than one.
        """
        name = image.relative_to(self._images).with_suffix("")
        place = [part for part in name.parts if part.lower() not in FOLDERS]
        files = self._files.get(loosely(str(Path(*place))), [])
        if not files:
            expected = f"{self._folder / name}{'-masklabel' if self._beside_images else ''}.png"
            raise BadImage(f"has no mask: expected {expected} (white: counts), of the image's size")
        if len(files) > 1:
            raise BadImage(f"has several masks, {' and '.join(file.name for file in files)}: delete all but one")
        return files[0]

    def without_image(self, used: Collection[Path]) -> list[Path]:
        """Return the masks that are not among the `used` ones."""
        return sorted({file for files in self._files.values() for file in files} - set(used))

    def _add(self, name: Path, path: Path) -> None:
        self._files.setdefault(loosely(str(name)), []).append(path)
