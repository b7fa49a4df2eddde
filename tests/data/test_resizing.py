"""How an image is scaled to its bucket: sharp by default, as OpenCV averages where an old run is repeated."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn, idctn
from skimage import data

from lorasweep.data.buckets import Placement, place
from lorasweep.data.resizing import fill_bucket, prepare_mask
from lorasweep.toy.themes import draw_theme


def gradient(width: int, height: int) -> Image.Image:
    """Red counts the columns, green the rows."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return Image.fromarray(pixels)


def test_prepared_image_is_the_rectangle_that_the_crop_names():
    image = gradient(101, 64)
    placed = place((101, 64), (64, 64))
    assert (placed.left, placed.top) == (18, 0)
    pixels = np.asarray(fill_bucket(image, placed))
    assert pixels.shape == (64, 64, 3)
    assert pixels[0, 0].tolist() == [18, 0, 0]
    assert pixels[-1, -1].tolist() == [81, 63, 0]


def test_flipped_crop_is_where_the_conditioning_says():
    image = gradient(101, 64)
    placed = place((101, 64), (64, 64))
    left = placed.facts(flip=True).crop[0]
    mirrored = np.asarray(image)[:, ::-1]
    np.testing.assert_array_equal(np.asarray(fill_bucket(image, placed, flip=True)), mirrored[:, left : left + 64])


@pytest.mark.parametrize("bucket", [(128, 96), (150, 150), (64, 192), (250, 190), (320, 256), (700, 200)])
def test_cropping_first_gives_what_cropping_last_would(bucket):
    image = Image.fromarray(data.astronaut()[:200, :250])
    placed = place(image.size, bucket)
    whole = image.resize(placed.resized, Image.Resampling.LANCZOS)
    corner = (placed.left, placed.top)
    expected = np.asarray(whole.crop((*corner, corner[0] + bucket[0], corner[1] + bucket[1]))).astype(int)
    assert np.abs(np.asarray(fill_bucket(image, placed)) - expected).max() <= 1


def test_a_strip_takes_the_memory_of_its_bucket():
    """Scaled as a whole it would have 21 gigapixels."""
    strip = Image.new("RGB", (1, 20_000), "red")
    placed = place(strip.size, (1024, 1024))
    assert placed.resized == (1024, 20_480_000)
    for area in (False, True):
        assert fill_bucket(strip, placed, area=area).getcolors() == [(1024 * 1024, (255, 0, 0))]
    assert prepare_mask(Image.new("L", (1, 20_000), 7), placed).getcolors() == [(1024 * 1024, 7)]


def ideal(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return an image without any frequency that the smaller one cannot show, sampled."""
    pixels = np.asarray(image, float)
    height, width = pixels.shape[:2]
    kept = dctn(pixels, axes=(0, 1), norm="ortho")[: size[1], : size[0]]
    return np.clip(idctn(kept, axes=(0, 1), norm="ortho") * np.sqrt(size[0] * size[1] / (width * height)), 0, 255)


def decibels(image: Image.Image, reference: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.asarray(image, float) - reference) ** 2)))


@pytest.mark.parametrize("scale", [1.05, 1.5, 2.7])
@pytest.mark.parametrize("kind", ["photograph", "drawing"])
def test_shrunk_images_are_the_sharpest_that_do_not_alias(kind, scale):
    if kind == "photograph":
        image = Image.fromarray(data.cat()[:240, :240])
    else:
        image = draw_theme("robots", 1, size=(240, 240))[0].image.convert("RGB")
    size = round(240 / scale), round(240 / scale)
    placed, reference = Placement(image.size, size, size, 0, 0), ideal(image, size)
    ours = decibels(fill_bucket(image, placed), reference)
    assert ours > 37
    assert ours > decibels(fill_bucket(image, placed, area=True), reference) + 3
    assert ours > decibels(image.resize(size, Image.Resampling.BOX), reference) + 4


def coverage(pixels: int, scaled: int) -> np.ndarray:
    """Return (scaled, pixels): which share of each scaled pixel each pixel covers."""
    edges = np.arange(scaled + 1) * pixels / scaled
    overlap = np.minimum.outer(edges[1:], np.arange(1, pixels + 1)) - np.maximum.outer(edges[:-1], np.arange(pixels))
    return np.clip(overlap, 0, None) * scaled / pixels


@pytest.mark.parametrize("bucket", [(128, 96), (150, 150), (64, 192), (250, 190), (125, 100)])
def test_the_mean_of_the_area(bucket):
    """Every output pixel is the mean of what it covers, parts of pixels in part: by hand, as two matrix products."""
    image = Image.fromarray(data.astronaut()[:200, :250])
    placed = place(image.size, bucket)
    across, down = placed.resized
    whole = np.einsum("yh,hwc->ywc", coverage(200, down), np.asarray(image, float))
    whole = np.einsum("xw,ywc->yxc", coverage(250, across), whole)
    left, top = placed.left, placed.top
    expected = whole[top : top + bucket[1], left : left + bucket[0]]
    assert np.abs(np.asarray(fill_bucket(image, placed, area=True)) - expected).max() <= 0.5 + 1e-6


def test_sd_scripts_enlarges_by_lanczos_too():
    image = gradient(50, 40)
    placed = place((50, 40), (64, 64))
    np.testing.assert_array_equal(fill_bucket(image, placed), fill_bucket(image, placed, area=True))


@pytest.mark.parametrize("bucket", [(32, 32), (40, 24), (128, 128)])
def test_a_mask_keeps_within_its_values(bucket):
    """Lanczos would ring: darker than black and brighter than white on both sides of an edge."""
    mask = Image.fromarray(np.tile(np.repeat(np.array([60, 200], np.uint8), 32), (64, 1)))
    pixels = np.asarray(prepare_mask(mask, place((64, 64), bucket)))
    assert pixels.shape == bucket[::-1]
    assert (pixels.min(), pixels.max()) == (60, 200)
