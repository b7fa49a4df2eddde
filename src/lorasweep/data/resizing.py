"""Scaling an image to its place in a bucket: how pixels are made of pixels.

Images are scaled by Lanczos. Of the filters tried on photographs and drawings it comes nearest to an ideal low-pass at
every scale from 1/1.02 to 1/4 (41 to 45 dB; OpenCV's area mean 36 to 39, Pillow's BOX, which leaves out pixels that are
covered in part, 33 to 39), and it brings back most of the original when the result is enlarged again.

Only the rectangle that the bucket keeps is computed, so that an image of any shape takes the memory of its bucket.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lorasweep.data.buckets import Placement


def fill_bucket(image: Image.Image, placement: Placement, flip: bool = False, *, area: bool = False) -> Image.Image:
    """Return an image as it fills its bucket.

    Args:
        image: RGB, of `placement.original`'s size.
        placement: how it is scaled and cropped.
        flip: mirror it.
        area: where both sides shrink, a pixel is the mean of the area that it covers (OpenCV's INTER_AREA, with which
            sd-scripts shrinks), instead of Lanczos.
    """
    filled = _by_area(image, placement) if area and _shrinks(placement) else _by_lanczos(image, placement)
    return ImageOps.mirror(filled) if flip else filled


def prepare_mask(mask: Image.Image, placement: Placement) -> Image.Image:
    """Return a grey mask as it fills its bucket, by filters that never leave the range of its values."""
    if _shrinks(placement):
        return _by_area(mask, placement)
    return mask.resize(placement.bucket, Image.Resampling.BILINEAR, box=_visible(placement))


def _shrinks(placement: Placement) -> bool:
    (width, height), (across, down) = placement.original, placement.resized
    return width >= across and height >= down


def _by_lanczos(image: Image.Image, placement: Placement) -> Image.Image:
    if placement.original == placement.resized:
        return image.crop((*_corner(placement), *_far_corner(placement)))
    return image.resize(placement.bucket, Image.Resampling.LANCZOS, box=_visible(placement))


def _by_area(image: Image.Image, placement: Placement) -> Image.Image:
    values: NDArray[np.generic] = np.asarray(image)
    left, top, right, bottom = _visible(placement)
    for axis, start, end, count in ((0, top, bottom, placement.bucket[1]), (1, left, right, placement.bucket[0])):
        values = _means(values, np.linspace(start, end, count + 1), axis)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _means(values: NDArray[np.generic], edges: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the mean of `values` between each two neighbouring `edges` along an axis; a pixel may count in part."""
    shape = [-1 if number == axis else 1 for number in range(values.ndim)]
    whole = np.minimum(edges.astype(int), values.shape[axis] - 1)
    part = (edges - whole).reshape(shape)
    exact = np.uint32 if values.dtype == np.uint8 else np.float64  # 255 x 16 million pixels fit
    before = np.cumsum(values, axis, dtype=exact).take(np.maximum(whole - 1, 0), axis) * (whole > 0).reshape(shape)
    sums = before + part * values.take(whole, axis)
    return np.diff(sums, axis=axis) / np.diff(edges).reshape(shape)


def _corner(placement: Placement) -> tuple[int, int]:
    return placement.left, placement.top


def _far_corner(placement: Placement) -> tuple[int, int]:
    return placement.left + placement.bucket[0], placement.top + placement.bucket[1]


def _visible(placement: Placement) -> tuple[float, float, float, float]:
    """Return the rectangle of the original that the bucket shows: left, top, right, bottom."""
    near, far = (
        [
            min(place * side / scaled, side)
            for place, side, scaled in zip(corner, placement.original, placement.resized, strict=True)
        ]
        for corner in (_corner(placement), _far_corner(placement))
    )
    return near[0], near[1], far[0], far[1]
