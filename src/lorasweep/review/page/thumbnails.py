"""Small copies of pictures that lie in the page itself: as large as the page's budget allows."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

TYPE = "image/webp"
QUALITY = 72  # of WebP; below 60 the toy's flat colours show blocks
SIDES = (1024, 768, 512, 384, 256, 192, 144, 112, 96, 72, 56, 48)
BESIDE = 192
"""Pixels of a thumbnail's longer side at most where the full pictures lie beside the page."""
PROBES = 24  # pictures that the size of all is estimated from
MARGIN = 1.15  # times the estimate that must still fit: pictures that were not probed may be larger


@dataclass(frozen=True)
class Thumbnails:
    """What lies in the page.

    Attributes:
        images: base64 of WebP, in the order of the files; "" for one that cannot be read or has no room.
        side: pixels of their longer side at most.
    """

    images: Sequence[str]
    side: int


def make(files: Sequence[Path], largest: int, budget: int) -> Thumbnails:
    """Return thumbnails of pictures, the largest that all fit into a budget.

    Where not even the smallest do, as many as fit get one, evenly spread.

    Args:
        files: the pictures.
        largest: pixels of the longer side at most.
        budget: bytes of base64 in all.
    """
    if not files:
        return Thumbnails([], largest)
    probes = files[:: max(1, len(files) // PROBES)]
    for side in [each for each in SIDES if each <= largest]:
        expected = sum(map(len, _encoded(probes, side))) / len(probes) * len(files) * MARGIN
        if expected <= budget:
            return Thumbnails(_encoded(files, side), side)
    every = -(-int(expected) // budget)
    kept = dict(zip(files[::every], _encoded(files[::every], side), strict=True))
    return Thumbnails([kept.get(file, "") for file in files], side)


def whole(file: Path) -> str:
    """Return a picture as it is, as a `data:` address; "" where it cannot be read."""
    try:
        return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
    except OSError:
        return ""


def _encoded(files: Sequence[Path], side: int) -> list[str]:
    """Return thumbnails; Pillow decodes, scales and encodes without the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda file: _one(file, side), files))


def _one(file: Path, side: int) -> str:
    out = io.BytesIO()
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(out, "WEBP", quality=QUALITY, method=2)
    except OSError:  # a file that is gone, or that a crash has cut
        return ""
    return base64.b64encode(out.getvalue()).decode()
