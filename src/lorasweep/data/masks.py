"""Which pixels of a training image count: masks from a folder of their own, or from the image's transparency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorasweep.data.images import EXTENSIONS, BadImage


@dataclass(frozen=True)
class Mask:
    """The mask of one image, as it is on disk.

    Args:
        path: the file that holds it: of its own, or the image itself.
        alpha: whether it is that file's alpha channel rather than its brightness.
        digest: `pixel_digest` of the mask, as large as its image.
    """

    path: Path
    alpha: bool
    digest: str


class MaskFolder:
    """A folder of masks, each named and placed as its image is, whatever the extension.

    Args:
        folder: of the masks. images: folder of the images.
    """

    def __init__(self, folder: Path, images: Path) -> None:
        self._folder, self._images = folder, images
        self._files: dict[Path, list[Path]] = {}  # path below the folder without extension -> files
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."):
                self._files.setdefault(path.relative_to(folder).with_suffix(""), []).append(path)

    def find(self, image: Path) -> Path:
        """Return the mask's file of an image.

        Raises:
            BadImage: there is none, or more than one.
        """
        name = image.relative_to(self._images).with_suffix("")
        files = self._files.get(name, [])
        if not files:
            raise BadImage(f"has no mask: expected {self._folder / name}.png (white: counts), of the image's size")
        if len(files) > 1:
            raise BadImage(f"has several masks, {' and '.join(file.name for file in files)}: delete all but one")
        return files[0]
