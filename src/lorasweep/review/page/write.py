"""Writing the review page of a choice of versions to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorasweep import files
from lorasweep.review.page import thumbnails
from lorasweep.review.page.choice import Choice
from lorasweep.review.page.collect import collect
from lorasweep.review.page.payload import payload, relative_to
from lorasweep.review.page.render import render

BUDGET = 34_000_000  # bytes of thumbnails; a page of 200 versions stays below 40 MB
LARGEST = 1024  # pixels of a picture in a page that stands alone


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        file: it.
        versions: how many it shows.
        pictures: how many.
        side: pixels of the longer side of those in the page.
    """

    file: Path
    versions: int
    pictures: int
    side: int


def write(choice: Choice, file: Path, *, single: bool) -> Written:
    """Write a page, whole or not at all.

    Args:
        choice: what it is about.
        file: HTML.
        single: whether it must stand alone: nothing beside it is pointed to, and what lies in it is larger.

    Raises:
        OSError: it cannot be written.
    """
    page = collect(choice)
    pictures = [cell.file for cell in page.cells]
    small = thumbnails.make(pictures, LARGEST if single else thumbnails.BESIDE, BUDGET)
    address = (lambda _: "") if single else relative_to(file.parent)
    data = payload(page, address, [thumbnails.whole(plot.file) for plot in page.plots])
    files.write_atomic(file, render(data, small.images))
    return Written(file, len(page.versions), len(pictures), small.side)
