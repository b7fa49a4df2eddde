from __future__ import annotations

import numpy as np
import pytest

from lorasweep.data.buckets import (
    Placement,
    bucket_sizes,
    bucket_without_upscale,
    nearest_bucket,
    nearest_ratio,
    place,
)
from lorasweep.families.base import ImageFacts

# The landscape half of kohya's list for 1024, 512..2048, 64.
LANDSCAPE = [
    *[(1088, 960), (1152, 896), (1216, 832), (1280, 768), (1344, 768), (1408, 704), (1472, 704), (1536, 640)],
    *[(1600, 640), (1664, 576), (1728, 576), (1792, 576), (1856, 512), (1920, 512), (1984, 512), (2048, 512)],
]


def test_kohyas_list_of_33():
    expected = sorted({(1024, 1024), *LANDSCAPE, *((h, w) for w, h in LANDSCAPE)})
    assert len(expected) == 33
    assert bucket_sizes(1024, 512, 2048, 64) == expected


def test_kohyas_list_of_17_has_one_side_of_1024_each():
    sizes = bucket_sizes(1024, 512, 1024, 64)
    assert len(sizes) == 17
    assert all(1024 in size for size in sizes)


def test_kohyas_list_of_41():
    assert len(bucket_sizes(1024, 256, 2048, 64)) == 41


def test_limits_are_rounded_outwards():
    assert bucket_sizes(1024, 530, 2000, 64) == bucket_sizes(1024, 512, 2048, 64)
    assert min(min(size) for size in bucket_sizes(64, 3, 128, 8)) == 8


@pytest.mark.parametrize("limits", [(1025, 2048, 64), (512, 1023, 64), (512, 2048, 1088)])
def test_impossible_limits(limits):
    with pytest.raises(ValueError, match="hold a square of 1024"):
        bucket_sizes(1024, *limits)


SIZES = bucket_sizes(1024, 512, 2048, 64)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1024, 1024), (1024, 1024)),
        ((300, 300), (1024, 1024)),
        ((1216, 832), (1216, 832)),
        ((4000, 3000), (1152, 896)),  # 1.333: 1152/896 = 1.286 keeps 96.4 %, 1216/832 = 1.462 keeps 91.2 %
        ((3000, 4000), (896, 1152)),
        ((1920, 1080), (1344, 768)),  # 1.778: 1344/768 = 1.75
        ((4096, 512), (2048, 512)),
        ((512, 4096), (512, 2048)),
    ],
)
def test_nearest_bucket(size, bucket):
    assert nearest_bucket(size, SIZES) == bucket


def test_portrait_mirrors_landscape():
    for width in range(400, 3000, 37):
        across, down = nearest_bucket((width, 1000), SIZES)
        assert nearest_bucket((1000, width), SIZES) == (down, across)


@pytest.mark.parametrize(
    ("size", "bucket", "resized", "left", "top"),
    [
        ((1024, 1024), (1024, 1024), (1024, 1024), 0, 0),
        # kohya's issue 1443: a tall image loses its top and bottom, and the crop says so.
        ((512, 4096), (512, 2048), (512, 4096), 0, 1024),
        ((4000, 3000), (1152, 896), (1195, 896), 21, 0),  # 896 / 3000 * 4000 = 1194.67
        ((1001, 999), (64, 64), (64, 64), 0, 0),  # 64.13 rounds down
        ((100, 101), (64, 64), (64, 65), 0, 0),  # 64.64 rounds up; one odd row goes to the bottom
        ((32, 16), (64, 64), (128, 64), 32, 0),
    ],
)
def test_place(size, bucket, resized, left, top):
    assert place(size, bucket) == Placement(size, resized, bucket, left, top)


def test_placement_always_covers_its_bucket():
    for width in range(30, 400, 17):
        for height in range(30, 400, 13):
            placed = place((width, height), nearest_bucket((width, height), bucket_sizes(64, 32, 128, 8)))
            (across, down), (bucket_across, bucket_down) = placed.resized, placed.bucket
            assert across >= bucket_across
            assert down >= bucket_down
            assert across == bucket_across or down == bucket_down


def test_size_conditioning_is_of_the_original_and_the_true_crop():
    placed = Placement((4000, 3000), (1195, 896), (1152, 896), 21, 0)
    assert placed.facts(flip=False) == ImageFacts((4000, 3000), (21, 0), (1152, 896))
    assert placed.facts(flip=True) == ImageFacts((4000, 3000), (22, 0), (1152, 896))  # 43 columns are cut: 21 and 22


@pytest.mark.parametrize(
    ("size", "bucket", "top", "left", "mirrored_left"),
    [
        ((512, 4096), (512, 2048), 0, 128, 128),  # issue 1443: fitted it is 256 x 2048, in truth 1024 rows are cut
        ((4000, 3000), (1152, 896), 16, 0, 0),  # fitted it is 1152 x 864
        ((3000, 4500), (832, 1216), 0, 10, 34 / 3),  # fitted 810.67 x 1216; 21.33 are free, 10 of them at the left
        ((1024, 1024), (1024, 1024), 0, 0, 0),
    ],
)
def test_letterbox_offsets_of_sd_scripts_instead_of_the_true_crop(size, bucket, top, left, mirrored_left):
    placed = place(size, bucket)
    assert placed.facts(flip=False, letterbox=True) == ImageFacts(size, (left, top), bucket)
    assert placed.facts(flip=True, letterbox=True).crop == pytest.approx((mirrored_left, top))


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((940, 1000), (960, 1088)),  # 0.94 is 0.0576 from 0.8824 and 0.06 from 1
        ((1000, 940), (1024, 1024)),  # the same shape lying: 1.0638 is 0.0638 from 1 and 0.0695 from 1.1333
        ((1536, 640), (1536, 640)),
        ((512, 4096), (512, 2048)),
    ],
)
def test_nearest_ratio_of_sd_scripts_treats_portrait_and_landscape_unlike(size, bucket):
    assert nearest_ratio(size, SIZES) == bucket
    width, height = size
    errors = np.abs(np.array([w / h for w, h in SIZES]) - width / height)
    assert bucket == SIZES[errors.argmin()]


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((700, 500), (640, 448)),
        ((1024, 1024), (1024, 1024)),
        ((4000, 3000), (1152, 896)),
        ((3000, 4000), (896, 1152)),
        ((3072, 3072), (1024, 1024)),
        ((1050, 1000), (1024, 960)),  # rounding 1000 up to 1024, as kohya does, would enlarge it
        ((64, 100_000), (64, 16_384)),
        ((63, 500), None),
    ],
)
def test_bucket_without_upscale(size, bucket):
    assert bucket_without_upscale(size, 1024, 64) == bucket


def test_without_upscale_never_enlarges_nor_exceeds_the_area():
    for width in range(64, 3000, 173):
        for height in range(64, 3000, 191):
            bucket = bucket_without_upscale((width, height), 1024, 64)
            assert bucket is not None
            across, down = place((width, height), bucket).resized
            assert across <= width
            assert down <= height
            assert bucket[0] * bucket[1] <= 1024 * 1024
