"""Reading a folder of images and captions, and saying everything that is wrong with it at once.

A sample is an image with a text file of its name beside it. Folders may be nested. In kohya's folders, such as
`10_fuzzybear bear`, the number is how often each image is seen in an epoch, and the words are the caption of images
that have no text file; anywhere else an image without a caption is a problem.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lorasweep.data import encodings
from lorasweep.data.captions import BadCaption, Caption, Change
from lorasweep.data.faults import Fault
from lorasweep.data.foreign import Unused
from lorasweep.data.images import EXTENSIONS, BadImage, Facts, unreadable_message
from lorasweep.data.listing import Found, Label, Listing
from lorasweep.text.encoding import readable

# Wraps a list while it is worked through, such as `rich.progress.track`: (things, description) -> things.
Progress = Callable[[Sequence[Any], str], Iterable[Any]]

LONGEST = 1 << 20
"""Bytes: a text file that is larger is no caption."""


@dataclass(frozen=True)
class Sample:
    """One image and its caption as they are on disk.

    Args:
        path: the image file.
        caption: its text on one line, before prefix, suffix and dropout.
        repeats: times it is seen per epoch.
        folder: name of the kohya folder it is in, else of the folder itself.
        facts: size and pixel digest.
        source: the file that the caption is in; None: it is the folder's name.
        label: of the kohya folder it is in.
        changes: what reading made of the caption file's text.
    """

    path: Path
    caption: str
    repeats: int
    folder: str
    facts: Facts
    source: Path | None = None
    label: Label | None = None
    changes: frozenset[Change] = frozenset()


@dataclass
class Scan:
    """What a folder holds.

    Attributes:
        samples: the usable ones, sorted by their path below the folder.
        faults: what keeps others from being so, in the same order.
        unused: files that are neither image nor caption.
    """

    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)


@dataclass(frozen=True)
class Purpose:
    """What a folder is read for.

    Args:
        key: config key of the folder, for messages.
        repeats: times each image is seen per epoch; None takes the number in the folder's name, else 1.
        repeats_key: config key of that number.
        example: name of a kohya folder whose words would be right captions.
    """

    key: str = "dataset.path"
    repeats: int | None = None
    repeats_key: str = "dataset.repeats"
    example: str = "10_trigger word"


TRAINING = Purpose()


def scan(
    root: Path,
    look: Callable[[Path], Facts],
    read: Callable[[str], Caption],
    purpose: Purpose = TRAINING,
    *,
    caption_extension: str = ".txt",
    without: Collection[Path] = (),
    progress: Progress = lambda things, description: things,
) -> Scan:
    """Read a folder and all below it. Hidden files and what systems leave are passed over; nothing is changed.

    Args:
        root: the folder.
        look: returns an image's facts or raises BadImage.
        read: returns what the text of a caption file means or raises BadCaption.
        purpose: what it is read for.
        caption_extension: extension of caption files.
        without: folders that are read for another purpose.
        progress: wraps the images while they are read.
    """
    given = f"{purpose.key}={readable(root)}"
    if not root.is_dir():
        fault = "is a file, not a folder" if root.exists() else f"does not exist (seen from {Path.cwd()})"
        return Scan(faults=[Fault(f"{given} {fault}: set it to a folder of images and captions")])
    extension = "." + caption_extension.lstrip(".").lower()
    any_number = purpose.repeats is not None
    listing = Listing(root, extension, any_number=any_number, repeats_key=purpose.repeats_key, without=without)
    reader = _Reader(listing, look, read, purpose, extension)
    with warnings.catch_warnings():
        # Pillow warns of what may be a bomb; `open_image` refuses what must be one.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for found in progress(listing.images, f"reading {readable(root)}"):
            reader.read(found)
    faults = [*listing.faults, *dict.fromkeys(reader.faults)]
    if not (reader.samples or faults):
        kinds = " ".join(sorted(EXTENSIONS))
        faults.append(Fault(f"{given} holds no images: put some in ({kinds}) or set it to another folder"))
    return Scan(reader.samples, sorted(faults, key=str), listing.unused)


class _Reader:
    """Reads images and their captions; both are judged, so that two faults make two problems."""

    def __init__(
        self,
        listing: Listing,
        look: Callable[[Path], Facts],
        read: Callable[[str], Caption],
        purpose: Purpose,
        extension: str,
    ) -> None:
        self.samples: list[Sample] = []
        self.faults: list[Fault] = []
        self._look, self._read, self._purpose, self._extension = look, read, purpose, extension
        self._has_texts = any(found.text for found in listing.images)

    def read(self, found: Found) -> None:
        """Read an image and its caption."""
        caption = self._caption(found)
        try:
            facts = self._look(found.path)
        except BadImage as fault:
            self._fault(found.path, str(fault))
            return
        if caption is None:
            return
        label = found.label
        repeats = self._purpose.repeats or (label.repeats if label else 1)
        folder = (label.folder if label else found.path.parent).resolve().name
        self.samples.append(
            Sample(found.path, caption.text, repeats, folder, facts, found.text, label, caption.changes)
        )

    def _caption(self, found: Found) -> Caption | None:
        if found.text is not None:
            return self._text(found.text)
        if found.other is None and found.listed is None and found.label and found.label.words:
            try:
                return Caption(self._read(found.label.words).text)
            except BadCaption as fault:
                self._fault(found.label.folder, str(fault))
                return None
        self._missing(found)
        return None

    def _text(self, path: Path) -> Caption | None:
        try:
            if path.exists() and not path.is_file():
                raise BadCaption("is a pipe, a socket or a device, not a file: delete it")
            if path.stat().st_size > LONGEST:
                raise BadCaption(f"has {path.stat().st_size:,} bytes, which is no caption: write one, or delete it")
            content = path.read_bytes()
            return self._read(encodings.decode(content))
        except UnicodeError as fault:
            self._fault(
                path, f"is not UTF-8 text ({fault}): {encodings.cure(path, content)}", "captions that are not UTF-8"
            )
        except OSError as error:
            self._fault(path, unreadable_message(error))
        except BadCaption as fault:
            self._fault(path, str(fault))
        return None

    def _missing(self, found: Found) -> None:
        """Say that an image has no caption, and what there seems to be instead."""
        image, extension = found.path, self._extension
        if found.listed is not None:
            self._fault(
                found.listed.path,
                f"holds captions of images, which are read from a file beside each: write these with "
                f"`{found.listed.command}`",
            )
            return
        if found.other is not None and self._has_texts:
            cure = f"rename {found.other.name} to {image.stem}{extension}"
        elif found.other is not None:
            cure = f"write {image.stem}{extension}, or set dataset.caption_extension={found.other.suffix}"
        else:
            example = self._purpose.example
            cure = f"write {image.stem}{extension} beside it, or name its folder as kohya does ({example})"
        self._fault(image, f"has no caption: {cure}", "images without a caption")

    def _fault(self, path: Path, text: str, kind: str = "") -> None:
        self.faults.append(Fault(text, path, kind))
