"""The whole data room on real photographs, those that scikit-image ships, in every format and mode people have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch.nn.functional import avg_pool2d

from lorasweep.data.dataset import Dataset
from lorasweep.data.images import open_image
from lorasweep.errors import UserError
from lorasweep.randomness import Row
from lorasweep.schema import Config

WHITE = "#ffffff"


def photograph(name: str) -> np.ndarray:
    """Return (height, width, 3) of 8 bits; colours repeated for a grey one."""
    pixels = np.asarray(getattr(data, name)())
    return np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels[..., :3]


def as_grey(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def save_rotated(pixels: np.ndarray, path: Path) -> None:
    """Store the picture lying on its side, with the note in EXIF that puts it upright, as telephones do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels)).save(path, exif=exif, quality=95)


def save_cut_out(pixels: np.ndarray, path: Path) -> None:
    """Make all but the middle transparent."""
    height, width = pixels.shape[:2]
    alpha = np.zeros((height, width, 1), np.uint8)
    alpha[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    Image.fromarray(np.concatenate([pixels, alpha], -1)).save(path)


# How each file is written, and how far the mean of its pixels may be from the original's (8-bit steps).
KINDS: dict[str, tuple[str, Callable[[np.ndarray, Path], None], float]] = {
    "png": ("png", lambda p, path: Image.fromarray(p).save(path), 0),
    "tiff": ("tif", lambda p, path: Image.fromarray(p).save(path, compression="tiff_lzw"), 0),
    "bmp": ("bmp", lambda p, path: Image.fromarray(p).save(path), 0),
    "webp": ("webp", lambda p, path: Image.fromarray(p).save(path, lossless=True), 0),
    "jpeg": ("jpg", lambda p, path: Image.fromarray(p).save(path, quality=95), 4),
    "progressive": ("jpeg", lambda p, path: Image.fromarray(p).save(path, quality=90, progressive=True), 6),
    "lossy webp": ("webp", lambda p, path: Image.fromarray(p).save(path, quality=90), 6),
    "avif": ("avif", lambda p, path: Image.fromarray(p).save(path, quality=85), 8),
    "rotated": ("jpg", save_rotated, 4),
    "palette": ("png", lambda p, path: Image.fromarray(p).quantize(256).save(path), 8),
    "gif": ("gif", lambda p, path: Image.fromarray(p).save(path), 12),
    "cmyk tiff": ("tif", lambda p, path: Image.fromarray(p).convert("CMYK").save(path), 2),
    "cmyk jpeg": ("jpg", lambda p, path: Image.fromarray(p).convert("CMYK").save(path, quality=95), 5),
    "ycbcr tiff": ("tif", lambda p, path: Image.fromarray(p).convert("YCbCr").save(path), 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_photograph_is_the_same_in_every_format(tmp_path, kind):
    suffix, save, tolerance = KINDS[kind]
    pixels = photograph("chelsea")
    save(pixels, tmp_path / f"a.{suffix}")
    opened = np.asarray(open_image(tmp_path / f"a.{suffix}", WHITE)).astype(int)
    assert opened.shape == pixels.shape
    assert np.abs(opened - pixels).mean() <= tolerance


def test_a_deep_grey_photograph_keeps_its_greys(tmp_path):
    pixels = photograph("camera")
    grey = pixels[..., 0]
    Image.fromarray(grey).save(tmp_path / "eight.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "sixteen.tif")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "float.tif")
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(np.asarray(open_image(path, WHITE)), pixels, err_msg=path.name)


def test_a_cut_out_photograph_stands_on_the_background(tmp_path):
    pixels = photograph("astronaut")
    save_cut_out(pixels, tmp_path / "a.png")
    opened = np.asarray(open_image(tmp_path / "a.png", "#00ff00"))
    np.testing.assert_array_equal(opened[200:300, 200:300], pixels[200:300, 200:300])
    assert (opened[:100] == (0, 255, 0)).all()


@pytest.fixture
def photographs(config: Config) -> Path:
    """A folder as people have them: mixed sizes, formats and modes, nested, one file lying on its side."""
    folder = Path(config.dataset.path or "")
    wanted = [
        ("astronaut", "a.png", lambda p, path: save_cut_out(p, path)),
        ("cat", "b.jpg", lambda p, path: Image.fromarray(p).save(path, quality=95)),
        ("coffee", "c.webp", lambda p, path: Image.fromarray(p).save(path, quality=90)),
        ("rocket", "d.tif", lambda p, path: Image.fromarray(p).convert("CMYK").save(path)),
        (
            "camera",
            "5_grey photograph/e.png",
            lambda p, path: Image.fromarray(as_grey(p).astype(np.uint16) * 257).save(path),
        ),
        ("hubble_deep_field", "more/f.jpg", save_rotated),
        ("retina", "more/g.png", lambda p, path: Image.fromarray(p).quantize(64).save(path)),
        ("coins", "more/h.gif", lambda p, path: Image.fromarray(as_grey(p)).save(path)),
    ]
    for name, file, save in wanted:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        save(photograph(name), path)
        path.with_suffix(".txt").write_text(f"photograph of {name}")
    rules = config.dataset
    rules.resolution, rules.bucket_min, rules.bucket_max, rules.bucket_step = 256, 128, 512, 16
    config.training.batch_size = 1
    return folder


def test_photographs_all_the_way_to_latents(photographs, config, base):
    config.dataset.flip = True
    dataset = Dataset.build(config, base, print_line=lambda line: None)
    assert dataset.images == 8
    assert dataset.skipped == []
    buckets, sizes = {}, {}
    for step in range(dataset.plan.total_steps):
        batch = dataset.batch(dataset.plan.batches(step)[0])
        name = batch.captions[0].removeprefix("photograph of ")
        assert torch.isfinite(batch.latents).all()
        height, width = (side * base.pixels_per_latent for side in batch.latents.shape[-2:])
        assert batch.facts[0].target == (width, height)
        buckets[name] = (width, height)
        sizes[name] = batch.facts[0].original[::-1]
    expected = {name: photograph(name).shape[:2] for name in sizes}
    assert sizes == expected, "height and width before any resizing, after EXIF rotation"
    assert len(sizes) == 8
    for name, (height, width) in sizes.items():
        assert buckets[name][0] * buckets[name][1] <= 256 * 256
        assert buckets[name][0] / buckets[name][1] == pytest.approx(width / height, rel=0.1)
    assert buckets["astronaut"] == buckets["camera"] == (256, 256)
    assert buckets["coffee"] == (304, 208)  # 600 x 400: 1.46 is the nearest to 1.5


def test_latents_are_of_the_photograph(photographs, config, base):
    """The mean colour of the latents of the cat is that of the cropped photograph, computed here from the array."""
    config.dataset.repeats = 1
    dataset = Dataset.build(config, base, print_line=lambda line: None)
    row = next(
        row
        for step in range(8)
        for row in dataset.plan.batches(step)[0]
        if dataset.batch([row]).captions == ["photograph of cat"]
    )
    batch = dataset.batch([row])
    pixels = torch.from_numpy(photograph("cat").copy()).permute(2, 0, 1).float() / 127.5 - 1  # 300 x 451
    width, height = batch.facts[0].target
    scale = max(height / 300, width / 451)
    left, top = (offset / scale for offset in batch.facts[0].crop)
    seen = pixels[:, int(top) : int(top + height / scale), int(left) : int(left + width / scale)]
    expected = avg_pool2d(seen, seen.shape[1:]).flatten() * base.SCALE
    assert batch.latents.mean((2, 3))[0, :3].tolist() == pytest.approx(expected.tolist(), abs=0.01)


def test_photographs_are_split_and_shown_as_they_are_held_out(photographs, config, base):
    config.dataset.holdout = 0.3
    dataset = Dataset.build(config, base, print_line=lambda line: None)
    held, pictures = dataset.heldout(), [each.open() for each in dataset.seen(heldout=True)]
    assert len(held) == len(pictures) == 2
    for (latents, caption, facts), picture in zip(held, pictures, strict=True):
        assert caption.startswith("photograph of ")
        assert picture.size == facts.target
        colours = np.asarray(picture, dtype=float).mean((0, 1)) / 127.5 - 1
        assert latents.mean((1, 2))[:3].tolist() == pytest.approx((colours * 0.5).tolist(), abs=0.001)


def test_damaged_photographs_are_all_named(photographs, config, base):
    for file, share in [("b.jpg", 0.6), ("c.webp", 0.9), ("d.tif", 0.5), ("more/g.png", 0.8), ("more/h.gif", 0.3)]:
        path = photographs / file
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError) as caught:
        Dataset.build(config, base, print_line=lambda line: None)
    assert len(caught.value.problems) == 5
    assert all("is truncated or damaged" in problem for problem in caught.value.problems)
    config.dataset.on_bad_file = "skip"
    dataset = Dataset.build(config, base, print_line=lambda line: None)
    assert dataset.images == 3
    assert len(dataset.skipped) == 5
    assert dataset.batch([Row(0, 0, 0)]).captions
