"""Masks: found, judged with all other data, and where their image's latents are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from lorasweep.data.buckets import place
from lorasweep.data.cache import TensorCache
from lorasweep.data.dataset import Dataset
from lorasweep.data.known import KnownFacts, Pictures
from lorasweep.data.latents import ImageCache
from lorasweep.data.masks import Mask
from lorasweep.errors import UserError
from lorasweep.randomness import Row

WHITE_RIGHT = np.tile(np.repeat(np.array([0, 255], np.uint8), 32), (64, 1))  # (64, 64): black, then white columns


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(config) -> Path:
    return Path(config.dataset.path)


@pytest.fixture
def masks(config, tmp_path) -> Path:
    config.dataset.mask_path = str(tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    return tmp_path / "masks"


@pytest.fixture
def build(config, base):
    def make() -> Dataset:
        return Dataset.build(config, base, print_line=lambda line: None)

    return make


def refusal(build) -> list[str]:
    with pytest.raises(UserError) as caught:
        build()
    return str(caught.value).splitlines()


def test_a_mask_is_averaged_over_each_latent_pixel(build, draw, folder, masks, config):
    config.training.batch_size = 1
    draw(folder / "a.png")
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    save(masks / "a.png", grey)
    batch = build().batch([Row(0, 0, 0)])
    expected = avg_pool2d(torch.from_numpy(grey.astype(np.float32))[None, None] / 255, 4)  # FakeBase: 4 pixels
    assert batch.masks.shape == (1, 1, 16, 16) and batch.masks.dtype == torch.float32
    torch.testing.assert_close(batch.masks, expected)


def test_a_mask_is_resized_cropped_and_mirrored_as_its_image(build, folder, masks, config):
    """The image is its own mask in red; FakeBase's latents are means of its pixels, so the two agree everywhere."""
    config.training.batch_size, config.dataset.flip = 1, True
    drawing = np.random.default_rng(1).integers(0, 2, (75, 170), np.uint8).repeat(2, 0).repeat(2, 1) * 255
    save(folder / "a.png", np.stack([drawing] * 3, axis=-1))
    (folder / "a.txt").write_text("a bear")
    save(masks / "a.png", drawing)
    dataset = build()
    mean = torch.stack([dataset.batch([Row(0, 0, epoch)]).latents[0, :1] for epoch in range(40)])
    mask = torch.stack([dataset.batch([Row(0, 0, epoch)]).masks[0] for epoch in range(40)])
    assert dataset.batch([Row(0, 0, 0)]).facts[0].crop != (0, 0), "it is cropped"
    assert len({values.sum(dim=1).tolist()[0][0] for values in mask}) == 2, "both ways round"
    # latents: 0.5 x (2 x mask - 1) + 0.125 x a normal draw of the posterior
    errors = mean - 0.5 * (2 * mask - 1)
    assert abs(errors.mean()) < 0.01 and errors.std() == pytest.approx(0.125, rel=0.05)


def test_transparency_as_a_mask(build, folder, config):
    config.training.batch_size, config.dataset.alpha_mask = 1, True
    colours = np.full((64, 64, 4), 200, np.uint8)
    colours[..., 3] = WHITE_RIGHT
    save(folder / "a.png", colours)
    (folder / "a.txt").write_text("a bear")
    mask = build().batch([Row(0, 0, 0)]).masks[0, 0]
    assert mask[:, :8].eq(0).all() and mask[:, 8:].eq(1).all()


def test_without_masks_a_batch_has_none(build, draw, folder, config):
    config.training.batch_size = 1
    draw(folder / "a.png")
    assert build().batch([Row(0, 0, 0)]).masks is None


def test_masks_of_nested_images_in_any_format_and_none_for_the_others(build, draw, folder, masks, config, tmp_path):
    draw(folder / "close/a.png", 1)
    draw(folder / "far/a.png", 2)
    draw(tmp_path / "class/c.png", 3)
    config.dataset.regularisation_path = str(tmp_path / "class")
    save(masks / "close/a.webp", np.stack([WHITE_RIGHT] * 3, axis=-1))
    save(masks / "far/a.PNG", 255 - WHITE_RIGHT)
    save(masks / "far/unused.png", WHITE_RIGHT)
    batch = build().batch([Row(0, 0, 0), Row(1, 0, 0), Row(2, 0, 0)])
    assert batch.masks[:, 0, 0, 0].tolist() == pytest.approx([0, 1, 1], abs=0.02)
    assert batch.masks[:, 0, 0, -1].tolist() == pytest.approx([1, 0, 1], abs=0.02)
    assert batch.masks[2].eq(1).all(), "all of a regularisation image counts"


def test_every_faulty_mask_is_told_with_the_rest(build, draw, folder, masks, config):
    for number, name in enumerate(("black", "good", "missing", "small", "torn", "twice")):
        draw(folder / f"{name}.png", number)
    draw(folder / "silent.png", 9, caption=None)
    save(masks / "good.png", WHITE_RIGHT)
    save(masks / "silent.png", WHITE_RIGHT)
    save(masks / "black.png", 0 * WHITE_RIGHT)
    save(masks / "small.png", WHITE_RIGHT[:32])
    save(masks / "twice.png", WHITE_RIGHT)
    save(masks / "twice.webp", WHITE_RIGHT)
    (masks / "torn.png").write_bytes((masks / "good.png").read_bytes()[:60])
    lines = "\n".join(refusal(build))
    assert "black.png: its mask leaves nothing of it to train" in lines
    assert f"missing.png: has no mask: expected {masks / 'missing'}.png" in lines
    assert "is 64 x 32 and it is 64 x 64: make the mask as large as the image" in lines
    assert "torn.png: its mask" in lines and "is truncated or damaged" in lines
    assert "has several masks, twice.png and twice.webp: delete all but one" in lines
    assert "silent.png: has no caption" in lines
    assert "good.png: " not in lines
    config.dataset.on_bad_file, config.training.batch_size = "skip", 1
    dataset = build()
    assert dataset.images == 1 and len(dataset.skipped) == 6


def test_an_opaque_image_is_no_mask(build, draw, folder, config):
    config.dataset.alpha_mask = True
    draw(folder / "a.png")
    assert any("a.png: has no transparency to be its mask" in line for line in refusal(build))


def test_a_black_mask_will_do_where_the_rest_counts_a_little(build, draw, folder, masks, config):
    config.training.batch_size, config.loss.unmasked_weight = 1, 0.1
    draw(folder / "a.png")
    save(masks / "a.png", 0 * WHITE_RIGHT)
    assert build().batch([Row(0, 0, 0)]).masks.eq(0).all()


def test_masks_are_part_of_what_the_data_is_and_an_edited_one_is_another(build, draw, folder, masks, config):
    config.training.batch_size = 1
    draw(folder / "a.png")
    plain = config.dataset.mask_path
    config.dataset.mask_path = None
    digests = [build().sha256]
    config.dataset.mask_path = plain
    seen = []
    for pixels in (WHITE_RIGHT, 255 - WHITE_RIGHT):
        save(masks / "a.png", pixels)
        dataset = build()
        digests.append(dataset.sha256)
        seen.append(dataset.batch([Row(0, 0, 0)]).masks)
    assert len(set(digests)) == 3
    torch.testing.assert_close(seen[0], 1 - seen[1])


@pytest.fixture
def pictures(tmp_path) -> Pictures:
    return Pictures(KnownFacts(tmp_path / "cache"), "white")


@pytest.fixture
def cache(tmp_path, base, pictures) -> ImageCache:
    return ImageCache(base, TensorCache(tmp_path / "cache"), pictures)


def test_a_mask_is_kept_for_each_placement(tmp_path, cache, pictures):
    path = save(tmp_path / "a.png", WHITE_RIGHT)
    mask = Mask(path, False, pictures.look_mask(path, False).digest)
    whole, wide = (cache.mask(mask, place((64, 64), bucket)) for bucket in ((64, 64), (64, 32)))
    assert whole.shape == (1, 16, 16) and wide.shape == (1, 8, 16)
    path.unlink()
    assert torch.equal(cache.mask(mask, place((64, 64), (64, 64))), whole), "found by content"


def test_a_mask_changed_meanwhile_stops_the_run(tmp_path, cache, pictures):
    path = save(tmp_path / "a.png", WHITE_RIGHT)
    mask = Mask(path, False, pictures.look_mask(path, False).digest)
    save(path, 255 - WHITE_RIGHT)
    with pytest.raises(UserError, match="was changed while this run was using it"):
        cache.mask(mask, place((64, 64), (64, 64)))
