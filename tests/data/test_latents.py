from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lorasweep.data import images
from lorasweep.data.buckets import place
from lorasweep.data.cache import TensorCache
from lorasweep.data.images import BadImage
from lorasweep.data.latents import ImageCache, to_pixels
from lorasweep.errors import UserError

PLACED = place((64, 64), (64, 64))


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def cached(tmp_path, base):
    def make(base=base, background="white") -> ImageCache:
        """A new one each time, as a new process would have."""
        return ImageCache(base, TensorCache(tmp_path / "cache"), background)

    return make


def test_pixels_are_between_minus_one_and_one():
    image = Image.new("RGB", (3, 2), (0, 255, 51))
    pixels = to_pixels(image)
    assert pixels.shape == (3, 2, 3)
    assert pixels.dtype == torch.float32
    assert pixels[:, 0, 0].tolist() == pytest.approx([-1, 1, -0.6])


def test_posterior_is_of_the_pixels(tmp_path, cached):
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 64), (255, 0, 51)).save(path)
    mean, std = cached().posterior(path, cached().look(path).digest, PLACED, False)
    assert mean.shape == std.shape == (4, 16, 16)
    assert mean[:, 5, 5].tolist() == pytest.approx([1, -1, -0.6, 1])
    assert std.eq(0.25).all()


def test_mirrored_latents_are_of_the_mirrored_image(tmp_path, cached):
    path = picture(tmp_path / "a.png")
    digest = cached().look(path).digest
    plain, _ = cached().posterior(path, digest, PLACED, False)
    mirrored, _ = cached().posterior(path, digest, PLACED, True)
    torch.testing.assert_close(mirrored, plain.flip(-1))


def test_second_version_encodes_nothing(tmp_path, base, cached, monkeypatch):
    path = picture(tmp_path / "a.png")
    facts = cached().look(path)
    first = cached().posterior(path, facts.digest, PLACED, False)
    assert base.encoded_images == 1
    monkeypatch.setattr(images, "open_image", lambda *_: pytest.fail("decoded again"))
    assert cached().look(path) == facts
    again = cached().posterior(path, facts.digest, PLACED, False)
    assert base.encoded_images == 1
    assert torch.equal(first[0], again[0])


def test_the_same_picture_in_another_file_is_shared(tmp_path, base, cached):
    path = picture(tmp_path / "a.png")
    other = tmp_path / "b.bmp"
    Image.open(path).save(other)
    for file in (path, other):
        cached().posterior(file, cached().look(file).digest, PLACED, False)
    assert base.encoded_images == 1


def test_every_difference_is_encoded_anew(tmp_path, base, make_base, cached):
    path = picture(tmp_path / "a.png")
    digest = cached().look(path).digest
    cached().posterior(path, digest, PLACED, False)
    cached().posterior(path, digest, PLACED, True)
    cached().posterior(path, digest, place((64, 64), (32, 32)), False)  # another resolution
    cached().posterior(path, digest, place((64, 64), (64, 32)), False)  # another bucket
    assert base.encoded_images == 4
    other = make_base(vae="vae-2")
    cached(other).posterior(path, digest, PLACED, False)
    assert other.encoded_images == 1
    narrow = make_base()
    narrow.modules["vae"].to(torch.bfloat16)
    cached(narrow).posterior(path, digest, PLACED, False)
    assert narrow.encoded_images == 1


def test_an_image_edited_in_place_is_another_image(tmp_path, base, cached):
    """Same name, same size, same time of change: only the content tells."""
    path = picture(tmp_path / "a.png", seed=0)
    stat = path.stat()
    before = cached().look(path)
    old, _ = cached().posterior(path, before.digest, PLACED, False)
    picture(path, seed=1)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = cached().look(path)
    assert after.digest != before.digest
    new, _ = cached().posterior(path, after.digest, PLACED, False)
    assert base.encoded_images == 2
    assert not torch.equal(old, new)


def test_background_is_part_of_what_is_known(tmp_path, cached):
    path = tmp_path / "a.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path)
    white, black = cached(background="white").look(path), cached(background="black").look(path)
    assert white.digest != black.digest


def test_an_image_changed_meanwhile_stops_the_run(tmp_path, base, cached):
    path = picture(tmp_path / "a.png", seed=0)
    digest = cached().look(path).digest
    picture(path, seed=1)
    with pytest.raises(UserError, match="was changed while this run was using it"):
        cached().posterior(path, digest, PLACED, False)
    path.unlink()
    with pytest.raises(UserError, match=r"a\.png: cannot be read \(No such file"):
        cached().posterior(path, digest, PLACED, False)
    assert base.encoded_images == 0


def test_bad_images_are_not_remembered(tmp_path, cached):
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(BadImage, match="0 bytes"):
        cached().look(path)
    with pytest.raises(BadImage, match="No such file"):
        cached().look(tmp_path / "gone.png")
    picture(path)
    assert cached().look(path).width == 64
