"""What is known of images and masks without a model: their facts, kept so that no file is decoded twice.

Facts are found by content, as everything in the cache is: an edited image is simply another one. Nothing here loads
torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lorasweep import files
from lorasweep.data import images
from lorasweep.data.buckets import Placement
from lorasweep.data.images import BadImage, Facts
from lorasweep.data.likeness import Likeness, likeness
from lorasweep.data.masks import Mask, MaskFacts, mask_facts
from lorasweep.data.resizing import prepare_mask
from lorasweep.errors import UserError
from lorasweep.schema import Config

# Part of every key: raise it when what an entry holds, or how it is made, changes.
VERSION = 3
T = TypeVar("T")


def cache_folder(config: Config) -> Path:
    """Return the folder of a run's cache."""
    return Path(config.dataset.cache or Path(config.output_root) / ".cache")


def entry_path(folder: Path, parts: Mapping[str, object], suffix: str) -> tuple[Path, str]:
    """Return where the entry of a cache is that `parts` describe, and this description.

    Args:
        folder: of the cache.
        parts: everything that the entry depends on, as JSON values.
        suffix: of its file.
    """
    description = json.dumps(parts, sort_keys=True)
    key = hashlib.sha256(description.encode()).hexdigest()
    return folder / key[:2] / f"{key}{suffix}", description


def unwritable(folder: Path, error: OSError) -> UserError:
    """Return what to say where a cache cannot be written."""
    return UserError(
        f"the cache {folder} cannot be written ({error.strerror or error}): make room or set dataset.cache to another "
        "folder",
        title="The cache is not usable",
    )


class KnownFacts:
    """Small facts on disk, each a JSON file that names what it is of and holds a checksum.

    Args:
        folder: where they are; made when the first is written.
        write: whether new ones are kept.
    """

    def __init__(self, folder: Path | str, *, write: bool = True) -> None:
        self.folder, self._write = Path(folder), write

    def fetch(self, parts: Mapping[str, object], compute: Callable[[], Any]) -> Any:
        """Return the JSON value that `parts` describe; it is computed, and kept, if there is no whole one.

        Raises:
            UserError: it cannot be kept (full disk, no permission).
        """
        path, description = entry_path(self.folder, parts, ".json")
        found = _read(path)
        if found is not None:
            return found["value"]
        value = compute()
        if self._write:
            try:
                files.write_atomic(path, json.dumps({"parts": description, "value": value, "sha256": _checksum(value)}))
            except OSError as error:
                raise unwritable(self.folder, error) from error
        return value


class Pictures:
    """The facts of images and masks.

    Args:
        known: where they are kept.
        background: colour behind transparent pixels.
    """

    def __init__(self, known: KnownFacts, background: str) -> None:
        self._known, self._background = known, background

    def look(self, path: Path) -> Facts:
        """Return the facts of an image file; one whose bytes are known is not decoded again.

        Raises:
            BadImage: as `images.open_image`.
        """
        parts = {"kind": "facts", "background": self._background}
        return Facts(**self._of_file(parts, path, lambda: asdict(images.look(path, self._background))))

    def look_mask(self, path: Path, alpha: bool) -> MaskFacts:
        """Return the facts of the mask in an image file; `alpha` as `images.open_mask` has it.

        Raises:
            BadImage: as `masks.mask_facts`.
        """
        parts = {"kind": "mask facts", "alpha": alpha}
        return MaskFacts(**self._of_file(parts, path, lambda: asdict(mask_facts(path, alpha))))

    def share(self, mask: Mask, placement: Placement) -> float:
        """Return which share of an image counts where its bucket shows it, 0..1.

        Raises:
            UserError: the mask has been changed, damaged or removed since it was looked at.
        """

        def measure() -> float:
            return float(np.asarray(prepare_mask(open_known_mask(mask), placement)).mean()) / 255

        parts = {"kind": "mask share", "version": VERSION, "pixels": mask.digest, **placed(placement)}
        return float(self._known.fetch(parts, measure))

    def likeness(self, path: Path, digest: str) -> Likeness:
        """Return what an image looks like from far away.

        Args:
            path: the image, opened only where that is not known.
            digest: its pixel digest.

        Raises:
            UserError: as `open`.
        """
        parts = {"kind": "likeness", "version": VERSION, "pixels": digest}
        values = self._known.fetch(parts, lambda: asdict(likeness(self.open(path, digest))))
        colours, mirrored = tuple(values["colours"]), tuple(values["mirrored_colours"])
        return Likeness(values["bits"], values["mirrored"], colours, mirrored)

    def open(self, path: Path, digest: str) -> Image.Image:
        """Return the image, which must still be the one that was looked at.

        Raises:
            UserError: it has been changed, damaged or removed since.
        """
        return _unchanged(path, digest, lambda: images.open_image(path, self._background))

    def _of_file(self, parts: Mapping[str, object], path: Path, look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        images.check_file(path)
        try:
            content = files.sha256_of(path)
        except OSError as error:
            raise BadImage(images.unreadable_message(error)) from error
        facts: dict[str, Any] = self._known.fetch({**parts, "version": VERSION, "file": content}, look)
        return facts


def open_known_mask(mask: Mask) -> Image.Image:
    """Return a mask, which must still be the one that was looked at.

    Raises:
        UserError: it has been changed, damaged or removed since.
    """
    return _unchanged(mask.path, mask.digest, lambda: images.open_mask(mask.path, mask.alpha))


def placed(placement: Placement) -> dict[str, object]:
    """Return what of a placement an entry depends on."""
    return {"resized": placement.resized, "crop": [placement.left, placement.top, *placement.bucket]}


def _unchanged(path: Path, digest: str, opened: Callable[[], Image.Image]) -> Image.Image:
    """Return what `opened` makes of a file, which must still be what `digest` says."""
    try:
        image = opened()
        if images.pixel_digest(image) == digest:
            return image
        fault = "was changed while this run was using it"
    except BadImage as error:
        fault = str(error)
    raise UserError(f"{path}: {fault}; then start again", title="An image changed")


def _read(path: Path) -> dict[str, Any] | None:
    """Return the entry at `path`, or None where there is none or it is damaged."""
    try:
        found = json.loads(path.read_text())
        return found if found["sha256"] == _checksum(found["value"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checksum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
