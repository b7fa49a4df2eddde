"""Which caption file belongs to which image: by their names, as people and other programs write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from pathlib import Path


def pair(images: Sequence[Path], captions: Sequence[Path], extension: str) -> dict[Path, Path]:
    """Return the caption file of each image that has one.

    `a.txt` belongs to `a.png`, and so does `a.png.txt` where there is no other; last, names count as equal that differ
    in case only, or in the form in which Unicode writes an accent. Images of one name with different extensions may get
    the same file.

    Args:
        images: files of one folder.
        captions: caption files of the same folder.
        extension: of captions, with its dot, in lower case.
    """
    paired: dict[Path, Path] = {}
    left = list(captions)
    for name, same in _WAYS:
        free = [image for image in images if image not in paired]
        named: dict[str, list[Path]] = {}
        for image in free:
            named.setdefault(same(name(image)), []).append(image)
        found = {caption: named.get(same(caption.name[: -len(extension)]), []) for caption in left}
        for caption, owners in found.items():
            for image in owners:
                paired.setdefault(image, caption)
        taken = set(paired.values())
        left = [caption for caption in left if caption not in taken]
    return paired


def loosely(name: str) -> str:
    """Return what two names have in common that people see as equal."""
    return unicodedata.normalize("NFC", name).casefold()


def named(name: str, images: Collection[str]) -> str | None:
    """Return the image that a file is named after: `a` of `a` and of `a.png`; None where it is none.

    Args:
        name: of the file, without its own extension.
        images: names of images without extensions, as `loosely` has them.
    """
    return next((each for each in (loosely(name), loosely(Path(name).stem)) if each in images), None)


_WAYS: tuple[tuple[Callable[[Path], str], Callable[[str], str]], ...] = (
    (lambda path: path.stem, str),
    (lambda path: path.name, str),
    (lambda path: path.stem, loosely),
    (lambda path: path.name, loosely),
)
