"""Aspect-ratio buckets: which sizes there are, which one an image goes to, and where it lies in it.

The sizes are those of kohya's sd-scripts. Two things differ on purpose: an image goes to the bucket that
crops it least (kohya compares w/h, which treats portrait and landscape differently), and the crop that the
model is told about is the true one (kohya reports the offsets of a letterbox, its issue 1443). Both of kohya's
ways are here too, for runs that repeat an old one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lorasweep.families.base import ImageFacts

Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class Placement:
    """How an image gets into its bucket: scaled to `resized`, then the bucket's rectangle cut out at `left`,
    `top`.

    All sizes are (width, height) in pixels; the offsets are in the resized image.
    """

    original: Size
    resized: Size
    bucket: Size
    left: int
    top: int

    @property
    def scale(self) -> float:
        """How many times as long a side gets."""
        return max(self.resized) / max(self.original)

    @property
    def kept(self) -> float:
        """Share of the image that its bucket shows, 0..1."""
        return self.bucket[0] * self.bucket[1] / (self.resized[0] * self.resized[1])

    def facts(self, *, flip: bool, letterbox: bool = False) -> ImageFacts:
        """Return what a model may be told of the image beside its caption.

        In a mirrored image the columns cut off at the left are those that were cut off at the right.

        Args:
            flip: whether the image is mirrored.
            letterbox: give `letterbox_offsets` for the crop.
        """
        right = self.resized[0] - self.bucket[0] - self.left
        top, left = self.letterbox_offsets(flip) if letterbox else (self.top, right if flip else self.left)
        return ImageFacts(original=self.original, crop=(left, top), target=self.bucket)

    def letterbox_offsets(self, flip: bool) -> tuple[float, float]:
        """Return top and left of the whole image fitted inside its bucket, which sd-scripts takes for the crop's.

        Rounded down, but for the left of a mirrored image, which is what is free to the right of the other: a fraction.
        """
        (width, height), (across, down) = self.original, self.bucket
        ratio = width / height
        inside = (down * ratio, down) if across / down > ratio else (across, across / ratio)
        top, left = (down - inside[1]) // 2, (across - inside[0]) // 2
        return top, across - (left + inside[0]) if flip else left


def bucket_sizes(resolution: int, minimum: int, maximum: int, step: int) -> list[Size]:
    """Return every bucket, sorted.

    A width w from `minimum` to `maximum` in steps takes the greatest height whose area does not exceed
    resolution squared, at most `maximum`; both orientations are listed, and the square of about `resolution`.

    Args:
        resolution: side of the square whose area limits every bucket.
        minimum: shortest side, rounded down to a multiple of `step` (but at least one step).
        maximum: longest side, rounded up to a multiple of `step`.
        step: every side is a multiple of this.

    Raises:
        ValueError: not minimum <= resolution <= maximum, or the resolution is below one step.
    """
    if not (minimum <= resolution <= maximum and step <= resolution):
        raise ValueError(f"no buckets of {minimum}..{maximum} in steps of {step} hold a square of {resolution}")
    area = resolution * resolution
    shortest = max(step, minimum // step * step)
    longest = -(-maximum // step) * step
    square = resolution // step * step
    sizes = {(square, square)}
    for width in range(shortest, longest + 1, step):
        height = min(longest, area // width // step * step)
        if height >= shortest:
            sizes |= {(width, height), (height, width)}
    return sorted(sizes)


def nearest_bucket(size: Size, sizes: Sequence[Size]) -> Size:
    """Return the bucket that an image of this size is cropped least for; among equals the largest, then the widest."""
    if size in sizes:
        return size
    return max(sizes, key=lambda bucket: (kept_share(size, bucket), bucket[0] * bucket[1], bucket))


def nearest_ratio(size: Size, sizes: Sequence[Size]) -> Size:
    """Return the bucket whose width / height is nearest, the first among equals, as sd-scripts chooses.

    The same change of shape is a larger difference the wider the image is: portraits and landscapes are not treated
    alike. A bucket of the image's own size wins.
    """
    if size in sizes:
        return size
    return min(sizes, key=lambda bucket: abs(bucket[0] / bucket[1] - size[0] / size[1]))


def kept_share(size: Size, bucket: Size) -> Fraction:
    """Return the share of the image that is still seen once it covers the bucket, 0..1."""
    across, down = size[0] * bucket[1], size[1] * bucket[0]
    return Fraction(min(across, down), max(across, down))


def bucket_without_upscale(size: Size, resolution: int, step: int) -> Size | None:
    """Return a bucket that the image only has to be shrunk for, or None when a side is shorter than one step.

    The image is shrunk to the area resolution squared if it is larger; of the multiples of `step` next to its
    sides, those that exceed neither that area nor the image, the bucket that crops least is taken.
    """
    if min(size) < step:
        return None
    area, pixels = resolution * resolution, size[0] * size[1]
    longest = area // step // step * step
    sides = [side if pixels <= area else math.isqrt(side * side * area // pixels) for side in size]
    floors = [min(longest, max(step, side // step * step)) for side in sides]
    choices = [[side for side in (low, low + step) if side <= limit] for low, limit in zip(floors, size, strict=True)]
    return nearest_bucket(size, [(w, h) for w in choices[0] for h in choices[1] if w * h <= area])


def place(size: Size, bucket: Size) -> Placement:
    """Scale an image of `size` to cover `bucket` (rounding half up) and crop it in the middle."""
    (width, height), (across, down) = size, bucket
    if across * height >= down * width:
        resized = (across, (2 * height * across + width) // (2 * width))
    else:
        resized = ((2 * width * down + height) // (2 * height), down)
    return Placement(size, resized, bucket, (resized[0] - across) // 2, (resized[1] - down) // 2)
