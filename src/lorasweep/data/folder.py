"""Reading a folder of images and captions, and saying everything that is wrong with it at once.

A sample is an image with a text file of the same stem beside it. Folders may be nested. In kohya's folders,
such as `10_fuzzybear bear`, the number is how often each image is seen in an epoch, and the words are the
caption of images that have no text file; anywhere else an image without a caption is a problem.
"""

from __future__ import annotations

import codecs
import re
import shlex
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lorasweep.data.captions import one_line
from lorasweep.data.images import EXTENSIONS, UNREADABLE, BadImage, Facts, unreadable

# Wraps a list while it is worked through, such as `rich.progress.track`: (things, description) -> things.
Progress = Callable[[Sequence[Any], str], Iterable[Any]]

# Above this the number is something else: 2024_holidays is a year.
MOST_REPEATS = 1000

# What other programs leave beside images.
_NOT_OURS = frozenset({"__MACOSX", "__pycache__", "@eaDir"})
_KOHYA_NAME = re.compile(r"(\d+)_(.*)")
_CAPTION_EXTENSIONS = (".txt", ".caption", ".cap", ".tags")


@dataclass(frozen=True)
class Sample:
    """One image and its caption as they are on disk.

    Args:
        path: the image file.
        caption: its text on one line, before prefix, suffix and dropout.
        repeats: times it is seen per epoch.
        folder: name of the kohya folder it is in, else of the folder itself.
        facts: size and pixel digest.
    """

    path: Path
    caption: str
    repeats: int
    folder: str
    facts: Facts


@dataclass
class Scan:
    """What a folder holds.

    Attributes:
        samples: the usable ones, sorted by their path below the folder.
        problems: one line per fault: the file, what is wrong, the cure.
        notes: what was decided on the way and deserves a line before training.
    """

    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def scan(
    root: Path,
    look: Callable[[Path], Facts],
    *,
    key: str = "dataset.path",
    repeats_key: str = "dataset.repeats",
    repeats: int | None = None,
    caption_extension: str = ".txt",
    progress: Progress = lambda things, description: things,
) -> Scan:
    """Read a folder and all below it. Hidden files, caches and other kinds of files are passed over.

    Args:
        root: the folder.
        look: returns an image's facts or raises BadImage.
        key: config key of `root`, for messages. repeats_key: likewise of `repeats`.
        repeats: times each image is seen per epoch; None takes the number in the folder's name, else 1.
        caption_extension: extension of caption files.
        progress: wraps the images while they are read.
    """
    found = Scan()
    if not root.is_dir():
        fault = "is a file, not a folder" if root.exists() else f"does not exist (seen from {Path.cwd()})"
        found.problems.append(f"{key}={root} {fault}: set it to a folder of images and captions")
        return found
    reader = _Reader(found, look, repeats, repeats_key, "." + caption_extension.lstrip(".").lower())
    reader.visit(root, None, set())
    reader.images.sort(key=lambda pair: pair[0].relative_to(root).as_posix())
    with warnings.catch_warnings():
        # Pillow warns of what may be a bomb; `open_image` refuses what must be one.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for image, label in progress(reader.images, f"reading {root}"):
            reader.read(image, label)
    reader.note()
    if not (found.samples or found.problems):
        kinds = " ".join(sorted(EXTENSIONS))
        found.problems.append(f"{key}={root} holds no images: put some in ({kinds}) or set it to another folder")
    found.problems.sort()
    return found


@dataclass(frozen=True)
class _Label:
    """A folder's name as kohya reads it."""

    folder: Path
    repeats: int
    words: str


class _Reader:
    """Walks the folders, pairs images with captions, reads them, and notes what it finds in a Scan."""

    def __init__(
        self,
        found: Scan,
        look: Callable[[Path], Facts],
        repeats: int | None,
        repeats_key: str,
        extension: str,
    ) -> None:
        self.images: list[tuple[Path, _Label | None]] = []
        self._found, self._look = found, look
        self._repeats, self._repeats_key, self._extension = repeats, repeats_key, extension
        self._texts: dict[Path, Path] = {}  # image without its suffix -> caption file
        self._named_captions: Counter[_Label] = Counter()
        self._labels: dict[_Label, None] = {}

    def visit(self, folder: Path, label: _Label | None, above: set[Path]) -> None:
        """List the images of a folder and of all below it; `above` are the real folders on the way, against loops."""
        real = folder.resolve()
        if real in above:
            return
        name = _KOHYA_NAME.fullmatch(real.name)
        if name:
            label = _Label(folder, int(name[1]), name[2].strip())
            if self._repeats is None and not 1 <= label.repeats <= MOST_REPEATS:
                self._problem(
                    folder,
                    f"its name asks for {label.repeats} repeats of each image (kohya's convention):"
                    f" rename it or set {self._repeats_key}",
                )
                return
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self._problem(folder, unreadable(error))
            return
        entries = [entry for entry in entries if not (entry.name.startswith(".") or entry.name in _NOT_OURS)]
        before = len(self.images) + len(self._found.problems)
        self._pair([entry for entry in entries if not entry.is_dir()], label)
        for entry in entries:
            if entry.is_dir():
                self.visit(entry, label, above | {real})
        is_root = not above
        if (name or not entries) and not is_root and before == len(self.images) + len(self._found.problems):
            self._problem(folder, "holds no images: put some in it or delete it")

    def read(self, image: Path, label: _Label | None) -> None:
        """Read an image and its caption; both are judged, so that two faults make two problems."""
        caption = self._caption(image, label)
        try:
            facts = self._look(image)
        except BadImage as fault:
            self._problem(image, str(fault))
            return
        if caption is None:
            return
        if label:
            self._labels[label] = None
        repeats = self._repeats or (label.repeats if label else 1)
        folder = (label.folder if label else image.parent).resolve().name
        self._found.samples.append(Sample(image, caption, repeats, folder, facts))

    def note(self) -> None:
        """Note what the names of kohya folders decided."""
        for label in self._labels:
            if self._repeats is None:
                self._found.notes.append(f"{label.folder}: {label.repeats} repeats, from its name")
            elif self._repeats != label.repeats:
                self._found.notes.append(
                    f"{label.folder}: {self._repeats} repeats, from {self._repeats_key} (its name says {label.repeats})"
                )
        for label, count in self._named_captions.items():
            self._found.notes.append(
                f'{label.folder}: caption "{label.words}" from its name for {count} without a file'
            )

    def _pair(self, paths: list[Path], label: _Label | None) -> None:
        """Sort the files of one folder into images and captions."""
        images: dict[str, list[Path]] = {}
        named = set()  # stems that a caption may have
        for path in paths:
            if path.suffix.lower() in EXTENSIONS:
                images.setdefault(path.stem, []).append(path)
                named.add(path.stem)
            elif path.suffix.lower() in UNREADABLE:
                named.add(path.stem)
                self._problem(path, "is of a kind that is not read here: convert it to PNG or JPEG, or delete it")
        for path in paths:
            if path.name.lower().endswith(self._extension):
                stem = path.name[: -len(self._extension)]
                if stem in named:
                    self._texts[path.with_name(stem)] = path
                else:
                    self._problem(path, "is a caption without an image: add the image, or rename or delete the caption")
        for stem, same in images.items():
            if len(same) > 1:
                names = " and ".join(path.name for path in same)
                self._problem(
                    same[0],
                    f"{names} would share one caption ({stem}{self._extension}): rename or delete one",
                )
            else:
                self.images.append((same[0], label))

    def _caption(self, image: Path, label: _Label | None) -> str | None:
        path = self._texts.get(image.with_name(image.stem))
        if path is None:
            if label and label.words:
                self._named_captions[label] += 1
                return label.words
            self._problem(image, f"has no caption: {self._caption_cure(image)}")
            return None
        try:
            caption = one_line(decode(path.read_bytes()))
        except UnicodeError as fault:
            cure = f"iconv -f WINDOWS-1252 -t UTF-8 {shlex.quote(str(path))} -o {shlex.quote(str(path) + '.new')}"
            self._problem(path, f"is not UTF-8 text ({fault}): save it as UTF-8, for example with `{cure}`")
            return None
        except OSError as error:
            self._problem(path, unreadable(error))
            return None
        if not caption:
            self._problem(path, "is an empty caption: describe the image in it, or delete both")
            return None
        return caption

    def _caption_cure(self, image: Path) -> str:
        for other in _CAPTION_EXTENSIONS:
            if other != self._extension and image.with_suffix(other).exists():
                return f"write {image.stem}{self._extension}, or set dataset.caption_extension={other}"
        return f"write {image.stem}{self._extension} beside it, or name its folder as kohya does (10_trigger word)"

    def _problem(self, path: Path, fault: str) -> None:
        self._found.problems.append(f"{path}: {fault}")


def decode(content: bytes) -> str:
    """Return the text of a caption file in UTF-8 (with or without mark) or UTF-16 (with mark).

    Raises:
        UnicodeError: it is neither; the text says which byte at which place.
    """
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnicodeError(f"byte 0x{content[error.start]:02x} at position {error.start}") from error
    if "\0" in text:
        raise UnicodeError(f"byte 0x00 at position {content.index(0)}")
    return text
