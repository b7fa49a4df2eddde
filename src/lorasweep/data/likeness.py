"""Which pictures are nearly the same: a copy saved again, scaled, a little cropped or brightened, or mirrored.

Two pictures look alike when their difference hashes (8 x 8 comparisons of neighbouring patches' brightness) agree
but for a few bits and their colours, patch by patch, are close. The hash alone calls all plain pictures one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

SIDE = 8  # patches of the hash in each direction
PATCHES = 4  # patches of the colours in each direction
STEP = 3  # levels of 255 by which a patch must be brighter than its neighbour: less is noise
BITS = 6  # of 64 that may differ
LEVELS = 24.0  # of 255 by which the colours may differ on average


@dataclass(frozen=True)
class Likeness:
    """What a picture looks like from far away.

    Attributes:
        bits: difference hash. mirrored: that of the mirror image.
        colours: PATCHES * PATCHES * 3 levels, row by row. mirrored_colours: those of the mirror image.
    """

    bits: int
    mirrored: int
    colours: tuple[int, ...]
    mirrored_colours: tuple[int, ...]


def likeness(image: Image.Image) -> Likeness:
    """Return what an RGB image looks like."""
    mirror = ImageOps.mirror(image)
    return Likeness(_bits(image), _bits(mirror), _colours(image), _colours(mirror))


def look_alike(one: Likeness, other: Likeness) -> bool:
    """Say whether two pictures, or one and the mirror image of the other, are nearly the same."""
    return _close(one.bits, other.bits, one.colours, other.colours) or _close(
        one.bits, other.mirrored, one.colours, other.mirrored_colours
    )


def _close(bits: int, other_bits: int, colours: tuple[int, ...], other_colours: tuple[int, ...]) -> bool:
    if (bits ^ other_bits).bit_count() > BITS:
        return False
    return sum(abs(a - b) for a, b in zip(colours, other_colours, strict=True)) <= LEVELS * len(colours)


def _bits(image: Image.Image) -> int:
    grey = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    levels = np.asarray(grey, dtype=np.int16)
    return int.from_bytes(np.packbits(levels[:, 1:] - levels[:, :-1] >= STEP).tobytes(), "big")


def _colours(image: Image.Image) -> tuple[int, ...]:
    small = image.resize((PATCHES, PATCHES), Image.Resampling.BOX)
    return tuple(int(level) for level in np.asarray(small).reshape(-1))
