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
from lorasweep.data.known import KnownFacts, Pictures
from lorasweep.data.latents import ImageCache, to_pixels
from lorasweep.errors import UserError

PLACED = place((64, 64), (64, 64))


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def pictures(tmp_path):
    def make(background="white") -> Pictures:
        """Return a new one each time, as a new process would have."""
        return Pictures(KnownFacts(tmp_path / "cache"), background)

    return make


@pytest.fixture
def cached(tmp_path, base, pictures):
    def make(base=base) -> ImageCache:
        """Return a new one each time, as a new process would have."""
        return ImageCache(base, TensorCache(tmp_path / "cache"), pictures())

    return make


def test_pixels_are_between_minus_one_and_one():
    image = Image.new("RGB", (3, 2), (0, 255, 51))
    pixels = to_pixels(image)
    assert pixels.shape == (3, 2, 3)
    assert pixels.dtype == torch.float32
    assert pixels[:, 0, 0].tolist() == pytest.approx([-1, 1, -0.6])


def test_posterior_is_of_the_pixels(tmp_path, cached, pictures):
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 64), (255, 0, 51)).save(path)
    digest = pictures().look(path).digest
    mean = cached().latents(path, digest, PLACED, flip=False, draws=None)
    drawn = cached().latents(path, digest, PLACED, flip=False, draws=torch.Generator().manual_seed(1))
    noise = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(1))
    assert mean.shape == (4, 16, 16)
    assert mean[:, 5, 5].tolist() == pytest.approx([0.5, -0.5, -0.3, 0.5])
    torch.testing.assert_close(drawn, mean + 0.125 * noise)


def test_mirrored_latents_are_of_the_mirrored_image(tmp_path, cached, pictures):
    path = picture(tmp_path / "a.png")
    digest = pictures().look(path).digest
    plain = cached().latents(path, digest, PLACED, flip=False, draws=None)
    mirrored = cached().latents(path, digest, PLACED, flip=True, draws=None)
    torch.testing.assert_close(mirrored, plain.flip(-1))


def test_second_version_encodes_nothing(tmp_path, base, cached, monkeypatch, pictures):
    path = picture(tmp_path / "a.png")
    facts = pictures().look(path)
    first = cached().latents(path, facts.digest, PLACED, flip=False, draws=None)
    assert base.encoded_images == 1
    monkeypatch.setattr(images, "open_image", lambda *_: pytest.fail("decoded again"))
    assert pictures().look(path) == facts
    again = cached().latents(path, facts.digest, PLACED, flip=False, draws=None)
    assert base.encoded_images == 1
    assert torch.equal(first, again)


def test_the_same_picture_in_another_file_is_shared(tmp_path, base, cached, pictures):
    path = picture(tmp_path / "a.png")
    other = tmp_path / "b.bmp"
    Image.open(path).save(other)
    for file in (path, other):
        cached().latents(file, pictures().look(file).digest, PLACED, flip=False, draws=None)
    assert base.encoded_images == 1


def test_every_difference_is_encoded_anew(tmp_path, base, make_base, cached, pictures):
    path = picture(tmp_path / "a.png")
    digest = pictures().look(path).digest
    cached().latents(path, digest, PLACED, flip=False, draws=None)
    cached().latents(path, digest, PLACED, flip=True, draws=None)
    cached().latents(path, digest, place((64, 64), (32, 32)), flip=False, draws=None)  # another resolution
    cached().latents(path, digest, place((64, 64), (64, 32)), flip=False, draws=None)  # another bucket
    assert base.encoded_images == 4
    other = make_base(vae="vae-2")
    cached(other).latents(path, digest, PLACED, flip=False, draws=None)
    assert other.encoded_images == 1
    narrow = make_base()
    narrow.modules["vae"].to(torch.bfloat16)
    cached(narrow).latents(path, digest, PLACED, flip=False, draws=None)
    assert narrow.encoded_images == 1
    ImageCache(base, TensorCache(tmp_path / "cache"), pictures(), area=True).latents(
        path, digest, PLACED, flip=False, draws=None
    )
    assert base.encoded_images == 5


def test_an_image_edited_in_place_is_another_image(tmp_path, base, cached, pictures):
    """Same name, same size, same time of change: only the content tells."""
    path = picture(tmp_path / "a.png", seed=0)
    stat = path.stat()
    before = pictures().look(path)
    old = cached().latents(path, before.digest, PLACED, flip=False, draws=None)
    picture(path, seed=1)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = pictures().look(path)
    assert after.digest != before.digest
    new = cached().latents(path, after.digest, PLACED, flip=False, draws=None)
    assert base.encoded_images == 2
    assert not torch.equal(old, new)


def test_background_is_part_of_what_is_known(tmp_path, pictures):
    path = tmp_path / "a.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path)
    white, black = pictures("white").look(path), pictures("black").look(path)
    assert white.digest != black.digest


def test_an_image_changed_meanwhile_stops_the_run(tmp_path, base, cached, pictures):
    path = picture(tmp_path / "a.png", seed=0)
    digest = pictures().look(path).digest
    picture(path, seed=1)
    with pytest.raises(UserError, match="was changed while this run was using it"):
        cached().latents(path, digest, PLACED, flip=False, draws=None)
    path.unlink()
    with pytest.raises(UserError, match=r"a\.png: cannot be read \(No such file"):
        cached().latents(path, digest, PLACED, flip=False, draws=None)
    assert base.encoded_images == 0


def test_bad_images_are_not_remembered(tmp_path, pictures):
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(BadImage, match="0 bytes"):
        pictures().look(path)
    with pytest.raises(BadImage, match="No such file"):
        pictures().look(tmp_path / "gone.png")
    picture(path)
    assert pictures().look(path).width == 64


def test_a_damaged_fact_is_found_again_and_a_look_alone_keeps_nothing(tmp_path, pictures):
    path = picture(tmp_path / "a.png")
    facts = pictures().look(path)
    (entry,) = (tmp_path / "cache").rglob("*.json")
    entry.write_text(entry.read_text().replace('"width": 64', '"width": 65'))
    assert pictures().look(path) == facts
    entry.write_text("{")
    assert pictures().look(path) == facts
    entry.unlink()
    assert Pictures(KnownFacts(tmp_path / "cache", write=False), "white").look(path) == facts
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_facts_that_cannot_be_kept_are_told_in_words(tmp_path, pictures):
    (tmp_path / "cache").write_text("a file in the cache's place")
    with pytest.raises(UserError, match=r"the cache .* cannot be written"):
        pictures().look(picture(tmp_path / "a.png"))


def test_what_moves_is_known(tmp_path, pictures):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    for name in ("a.gif", "b.webp", "c.png", "d.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "e.jpg")
    frames[0].save(tmp_path / "f.jpg", format="MPO", save_all=True, append_images=frames[1:])
    moving = {path.name: pictures().look(path).moving for path in sorted(tmp_path.glob("?.*"))}
    assert moving == {"a.gif": True, "b.webp": True, "c.png": True, "d.tif": True, "e.jpg": False, "f.jpg": False}
