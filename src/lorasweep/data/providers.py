"""Sets of images that make themselves: what `dataset.theme` names, for runs without a folder of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from lorasweep.schema import Config
from lorasweep.schema.dataset import THEMES

HELDOUT = 8
"""Further pictures of a set that its runs are measured on."""

Progress = Callable[[Sequence[Any], str], Iterable[Any]]


class Picture(Protocol):
    """One image of a set, with its caption."""

    @property
    def image(self) -> Image.Image:
        """The image."""

    @property
    def caption(self) -> str:
        """Its caption."""


class Provider(Protocol):
    """Makes the pictures of one set; `schema.dataset.THEMES` lists those that ship, and entry points add more.

    Attributes:
        images: how many pictures a run is trained on; those beyond are held out.
    """

    images: int

    def draw(self, count: int | None = None, *, size: tuple[int, int] = (64, 64), start: int = 0) -> Sequence[Picture]:
        """Return pictures, the same ones each time.

        Args:
            count: how many; None gives all that a run is trained on.
            size: (width, height) in pixels, each at least 8.
            start: number of the first, from 0.
        """


def provider(theme: str) -> Provider:
    """Return what makes the pictures of a set.

    Args:
        theme: its name.

    Raises:
        UserError: there is no such set.
    """
    found: Provider = THEMES[theme]
    return found


def with_images(
    config: Config, *, home: Path | None = None, progress: Progress = lambda things, description: things
) -> Config:
    """Return a config whose dataset has a path: without one, its theme is drawn at the run's resolution.

    The held-out pictures are further ones of the same theme, so that every image of the set is trained on, as in the
    runs that the recipes document; with `dataset.folds` a part of the set is held out instead.

    Args:
        config: of the run.
        home: folder of all themes; None: below the run's output root. What is there is not drawn again.
        progress: wraps the numbers of the pictures while they are drawn.
    """
    dataset = config.dataset
    if dataset.path is not None:
        return config
    theme, side = dataset.theme, dataset.resolution
    assert theme is not None
    folder = (home or Path(config.output_root) / ".themes") / f"{theme}-{side}"
    count = provider(theme).images
    train = _draw_into(folder / "train", theme, side, start=0, count=count, progress=progress)
    if dataset.folds is not None:
        return replace(config, dataset=replace(dataset, path=str(train)))
    heldout = _draw_into(folder / "heldout", theme, side, start=count, count=HELDOUT, progress=progress)
    return replace(config, dataset=replace(dataset, path=str(train), validation_path=str(heldout)))


def write_set(
    theme: str,
    folder: Path,
    *,
    size: tuple[int, int] = (64, 64),
    count: int | None = None,
    start: int = 0,
    progress: Progress = lambda things, description: things,
) -> Path:
    """Draw a set into a folder of images and captions.

    Args:
        theme: the set's name.
        folder: made where it is missing.
        size: (width, height) in pixels, each at least 8.
        count: how many; None gives all that a run is trained on.
        start: number of the first, from 0.
        progress: wraps the numbers of the pictures while they are drawn.

    Returns:
        The folder.
    """
    maker = provider(theme)
    for number in progress(range(maker.images if count is None else count), f"drawing {theme}"):
        write_pictures(maker.draw(1, size=size, start=start + number), folder, first=number + 1)
    return folder


def write_pictures(pictures: Iterable[Picture], folder: Path, *, first: int = 1) -> None:
    """Write pictures and their captions as `001.png` with `001.txt`, `002.png` ...

    Args:
        pictures: to write.
        folder: made where it is missing.
        first: number of the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, first):
        picture.image.save(folder / f"{number:03d}.png")
        (folder / f"{number:03d}.txt").write_text(picture.caption + "\n", encoding="utf-8")


def _draw_into(folder: Path, theme: str, side: int, *, start: int, count: int, progress: Progress) -> Path:
    """Draw part of a theme into `folder` unless it is there; a folder appears whole or not at all."""
    if not folder.exists():
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        write_set(theme, unfinished, size=(side, side), start=start, count=count, progress=progress)
        try:
            unfinished.rename(folder)
        except OSError:  # another process was faster; its drawings are the same
            shutil.rmtree(unfinished)
    return folder
