"""Which pictures are nearly the same: a copy saved again, scaled, a little cropped or brightened, or mirrored.

Two pictures look alike when their difference hashes (8 x 8 comparisons of neighbouring patches' brightness: brighter,
darker or as good as equal) agree in most edges of either, and their colours, patch by patch, are close; the more of
the one, the less is asked of the other. Flat patches do not count as agreement: two small figures on white are not
the same picture because of the white.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

SIDE = 8  # patches of the hash in each direction
PATCHES = 4  # patches of the colours in each direction
STEP = 3  # levels of 255 by which a patch must be brighter than its neighbour: less is noise
EDGES = 0.3  # share of the edges of either picture that the other may lack, where the colours are equal
LEVELS = 30.0  # of 255 by which the colours may differ on average, where the edges are equal


@dataclass(frozen=True)
class Likeness:
    """What a picture looks like from far away.

    Attributes:
        bits: difference hash, 64 bits where the right patch is the brighter one and 64 where it is the darker one.
        mirrored: that of the mirror image.
        colours: PATCHES * PATCHES * 3 levels, row by row.
        mirrored_colours: those of the mirror image.
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
    edges = (bits ^ other_bits).bit_count() / max(1, (bits | other_bits).bit_count())
    if edges > EDGES:  # which is nearly always so, and quicker to know than the colours
        return False
    levels = sum(abs(a - b) for a, b in zip(colours, other_colours, strict=True)) / len(colours)
    return edges / EDGES + levels / LEVELS <= 1


def _bits(image: Image.Image) -> int:
    grey = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    levels = np.asarray(grey, dtype=np.int16)
    rise = levels[:, 1:] - levels[:, :-1]
    return int.from_bytes(np.packbits([rise >= STEP, rise <= -STEP]).tobytes(), "big")


def _colours(image: Image.Image) -> tuple[int, ...]:
    small = image.resize((PATCHES, PATCHES), Image.Resampling.BOX)
    return tuple(int(level) for level in np.asarray(small).reshape(-1))
