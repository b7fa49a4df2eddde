"""The images of a run that has none of its own: its theme, drawn where the run keeps such things."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorasweep.schema import Config
from lorasweep.toy.sets import images_of, write_set

HELDOUT_DRAWINGS = 8

Progress = Callable[[Sequence[Any], str], Iterable[Any]]


def with_drawn_images(
    config: Config, *, home: Path | None = None, progress: Progress = lambda things, description: things
) -> Config:
    """Return a config whose dataset has a path: without one, its theme is drawn at the run's resolution.

    The held-out drawings are further ones of the same theme, so that every image of the set is trained on, as in the
    runs that the recipes document; with `dataset.folds` a part of the set is held out instead.

    Args:
        config: the run.
        home: folder of all themes; None: below the run's output root. What is there is not drawn again.
        progress: wraps the numbers of the drawings while they are drawn.
    """
    dataset = config.dataset
    if dataset.path is not None:
        return config
    theme, side = dataset.theme, dataset.resolution
    assert theme is not None
    folder = (home or Path(config.output_root) / ".themes") / f"{theme}-{side}"
    count = images_of(theme)
    train = _drawn(folder / "train", theme, side, start=0, count=count, progress=progress)
    if dataset.folds is not None:
        return replace(config, dataset=replace(dataset, path=str(train)))
    heldout = _drawn(folder / "heldout", theme, side, start=count, count=HELDOUT_DRAWINGS, progress=progress)
    return replace(config, dataset=replace(dataset, path=str(train), validation_path=str(heldout)))


def _drawn(folder: Path, theme: str, side: int, *, start: int, count: int, progress: Progress) -> Path:
    """Draw part of a theme into `folder` unless it is there; a folder appears whole or not at all."""
    if not folder.exists():
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        write_set(theme, unfinished, size=(side, side), start=start, count=count, progress=progress)
        try:
            unfinished.rename(folder)
        except OSError:  # another process was faster; its drawings are the same
            shutil.rmtree(unfinished)
    return folder
