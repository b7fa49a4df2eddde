"""What lies in a folder of images and all below it: which file is what, judged by names alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorasweep.data import masks
from lorasweep.data.caption_lists import CaptionList, read_list, read_sidecar
from lorasweep.data.faults import Fault
from lorasweep.data.foreign import CAPTIONS, LISTS, LITTER, VIDEOS, Unused, foreign_kind
from lorasweep.data.images import EXTENSIONS, UNREADABLE, unreadable_message
from lorasweep.data.pairing import loosely, named, pair

# Above this the number is something else: 2024_holidays is a year.
MOST_REPEATS = 1000

_KOHYA_NAME = re.compile(r"(\d+)_(.*)")


@dataclass(frozen=True)
class Label:
    """A folder's name as kohya reads it.

    Args:
        folder: the folder.
        repeats: the number it begins with.
        words: what follows, the caption of images without one.
    """

    folder: Path
    repeats: int
    words: str


@dataclass(frozen=True)
class Found:
    """An image and what there is of captions for it.

    Args:
        path: the image.
        label: of the kohya folder it is in.
        text: its caption file.
        other: a caption file with another extension than the configured one; None where there is `text`.
        listed: a list of captions that it is in; None where there is `text`.
    """

    path: Path
    label: Label | None = None
    text: Path | None = None
    other: Path | None = None
    listed: CaptionList | None = None


class Listing:
    """The files of a folder.

    Args:
        root: the folder.
        extension: of caption files, in lower case.
        any_number: whether the number in a kohya folder's name is of no account.
        repeats_key: config key to set where it cannot be meant.
        without: folders to leave out.

    Attributes:
        images: sorted by their path below the folder.
        faults: files and folders that cannot be meant.
        unused: files that are neither image nor caption.
    """

    def __init__(
        self, root: Path, extension: str, *, any_number: bool, repeats_key: str, without: Collection[Path] = ()
    ) -> None:
        self.images: list[Found] = []
        self.faults: list[Fault] = []
        self.unused: list[Unused] = []
        self._extension, self._any_number, self._repeats_key = extension, any_number, repeats_key
        self._without = {folder.resolve() for folder in without} - {root.resolve()}
        self._lists: dict[Path, CaptionList | None] = {}
        self._visit(root, None, (), [], frozenset())
        self._set_masks_apart(root)
        self.images.sort(key=lambda found: found.path.relative_to(root).as_posix())

    def _visit(
        self, folder: Path, label: Label | None, above: tuple[Path, ...], lists: list[Path], beside: Collection[str]
    ) -> None:
        """List a folder and all below it.

        Args:
            folder: to list.
            label: of the kohya folder around it.
            above: the real folders on the way, against loops.
            lists: files in these that may list captions.
            beside: names of the images in the folder around it.
        """
        real = folder.resolve()
        if real in above or real in self._without:
            return
        if name := _KOHYA_NAME.fullmatch(real.name):
            label = Label(folder, int(name[1]), name[2].strip())
            if not (self._any_number or 1 <= label.repeats <= MOST_REPEATS):
                self._fault(
                    folder,
                    f"its name asks for {label.repeats} repeats of each image (kohya's convention): rename it or set "
                    f"{self._repeats_key}",
                )
                return
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self._fault(folder, unreadable_message(error))
            return
        entries = [entry for entry in entries if not (entry.name.startswith(".") or entry.name.lower() in LITTER)]
        files = [entry for entry in entries if not entry.is_dir()]
        stems = {loosely(file.stem) for file in files if file.suffix.lower() in EXTENSIONS}
        sidecars = {
            file: image for file in files if file.suffix.lower() == ".json" and (image := named(file.stem, stems))
        }
        lists = [*lists, *(f for f in files if f.suffix.lower() in LISTS and f not in sidecars and f.is_file())]
        before = len(self.images) + len(self.faults)
        beside = beside if folder.name.lower() in masks.FOLDERS else ()
        self._sort(files, label, lists, {image: file for file, image in sidecars.items()}, stems, beside)
        for entry in entries:
            if entry.is_dir():
                self._visit(entry, label, (*above, real), lists, stems)
        if (name or not entries) and above and before == len(self.images) + len(self.faults):
            self._fault(folder, "holds no images: put some in it or delete it")

    def _set_masks_apart(self, root: Path) -> None:
        """Take no masks for images that lie in a folder beside that of the images."""
        without = [found.path for found in self.images if not found.text]
        found = masks.mirrored(without, [found.path for found in self.images], root)
        self.unused += [Unused(path, "masks in a folder of their own", folders) for path, folders in found.items()]
        self.images = [image for image in self.images if image.path not in found]

    def _sort(
        self,
        files: list[Path],
        label: Label | None,
        lists: list[Path],
        sidecars: Mapping[str, Path],
        stems: Collection[str],
        masked: Collection[str],
    ) -> None:
        """Sort the files of one folder.

        Args:
            files: of the folder. label, lists: as in `_visit`.
            sidecars: JSON files of single images, by the names of these.
            stems: names of the images.
            masked: names of images whose masks lie in this folder.
        """
        pictures = [file for file in files if file.suffix.lower() in EXTENSIONS]
        texts = [file for file in files if file.name.lower().endswith(self._extension)]
        captions = pair(pictures, texts, self._extension)
        kinds = {p: _mask_kind(p, stems, masked) for p in pictures if p not in captions}
        self.unused += [Unused(picture, kind) for picture, kind in kinds.items() if kind]
        self._sort_the_rest([file for file in files if file not in pictures], set(captions.values()), stems)
        shared = self._shared(captions)
        others = {loosely(file.stem): file for file in files if file.suffix.lower() in CAPTIONS and file not in texts}
        for picture in pictures:
            if kinds.get(picture) or picture in shared:
                continue
            text, other, listed = captions.get(picture), None, None
            if text is None:
                other = others.get(loosely(picture.stem))
                listed = next((found for file in lists if (found := self._list(file)) and found.has(picture)), None)
                if listed is None and (sidecar := sidecars.get(loosely(picture.stem))):
                    listed = read_sidecar(sidecar, self._extension)
            self.images.append(Found(picture, label, text, other, listed))

    def _sort_the_rest(self, files: list[Path], captions: Collection[Path], stems: Collection[str]) -> None:
        """Judge what is no picture of a kind that is read, nor the caption of one."""
        unreadable_stems = set()
        for file in files:
            if file.suffix.lower() in UNREADABLE:
                unreadable_stems.add(file.stem)
                self._fault(
                    file,
                    "is of a kind that is not read here: convert it to PNG or JPEG, or delete it",
                    "pictures of kinds that are not read here",
                )
        videos = {file.stem: file for file in files if file.suffix.lower() in VIDEOS}
        for file in files:
            if file in captions or file.suffix.lower() in UNREADABLE:
                continue
            if not file.name.lower().endswith(self._extension):
                self.unused.append(Unused(file, foreign_kind(file, stems)))
                continue
            name = file.name[: -len(self._extension)]
            if named(name, stems):
                self.unused.append(Unused(file, "second captions of an image"))
            elif video := videos.get(name):
                text = f"is the caption of a video, {video.name}: save frames as pictures, each with a caption"
                self._fault(file, text, "captions of videos")
            elif name not in unreadable_stems:
                text = "is a caption without an image: add the image, or rename or delete the caption"
                self._fault(file, text, "captions without an image")

    def _shared(self, captions: dict[Path, Path]) -> Collection[Path]:
        """Return the images that share a caption file with another one, which is a fault."""
        owners: dict[Path, list[Path]] = {}
        for picture, caption in captions.items():
            owners.setdefault(caption, []).append(picture)
        several = {caption: pictures for caption, pictures in owners.items() if len(pictures) > 1}
        for caption, pictures in several.items():
            names = " and ".join(picture.name for picture in pictures)
            text = f"{names} would share one caption ({caption.name}): rename or delete one"
            self._fault(pictures[0], text, "images that would share a caption")
        return {picture for pictures in several.values() for picture in pictures}

    def _list(self, file: Path) -> CaptionList | None:
        if file not in self._lists:
            self._lists[file] = read_list(file, self._extension)
        return self._lists[file]

    def _fault(self, path: Path, text: str, kind: str = "") -> None:
        self.faults.append(Fault(text, path, kind))


def _mask_kind(picture: Path, stems: Collection[str], masked: Collection[str]) -> str | None:
    """Return what kind of mask a picture without a caption is, by its name; None for an image."""
    found = masks.beside(picture.stem)
    if found and loosely(found[0]) in stems:
        return found[1]
    return "masks" if loosely(picture.stem) in masked else None
