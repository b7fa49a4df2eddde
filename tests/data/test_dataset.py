from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from lorasweep.data.dataset import Dataset
from lorasweep.data.text import TextCache
from lorasweep.errors import UserError
from lorasweep.families.base import ImageFacts
from lorasweep.randomness import Row


@pytest.fixture
def build(config, base):
    """Build the dataset of `config`; what was said is in `build.said`."""

    def make(config=config, base=base) -> Dataset:
        make.said = []
        return Dataset.build(config, base, print_line=make.said.append)

    return make


@pytest.fixture
def folder(config) -> Path:
    return Path(config.dataset.path)


@pytest.fixture
def bears(folder, draw, config) -> Path:
    """Eight pictures, six square, two wide."""
    for number in range(8):
        draw(folder / f"{number}.png", 20 + number, (96, 48) if number > 5 else (64, 64), f"bear, number {number}")
    return folder


def refusal(build) -> str:
    with pytest.raises(UserError) as caught:
        build()
    return str(caught.value)


def test_what_a_batch_holds(build, bears):
    batch = build().batch([Row(6, 0, 0), Row(7, 0, 0)])
    assert batch.rows == [Row(6, 0, 0), Row(7, 0, 0)]
    assert batch.latents.shape == (2, 4, 10, 22)  # 96 x 48 goes to the bucket of 88 x 40
    assert batch.latents.dtype == torch.float32
    assert batch.captions == ["bear, number 6", "bear, number 7"]
    assert batch.facts == [ImageFacts((96, 48), (0, 2), (88, 40))] * 2
    assert batch.weights.tolist() == [1, 1]


def test_latents_are_samples_of_the_scaled_posterior(build, draw, folder, config):
    draw(folder / "a.png", (255, 0, 51))
    config.training.batch_size = 1
    dataset = build()
    draws = torch.cat([dataset.batch([Row(0, 0, epoch)]).latents for epoch in range(200)])
    means, stds = draws.mean((0, 2, 3)), draws.std((0, 2, 3))
    # Colours in [-1, 1] times FakeBase's scaling factor of 0.5; its std of 0.25 likewise.
    assert means.tolist() == pytest.approx([0.5, -0.5, -0.3, 0.5], abs=0.005)
    assert stds.tolist() == pytest.approx([0.125] * 4, abs=0.005)
    assert not torch.equal(draws[0], draws[1])


def test_crops_and_epochs_of_sd_scripts(build, draw, folder, config):
    """Two squares and a 60 x 64; in batches of 2, 9 draws an epoch."""
    for number, size in enumerate([(64, 64), (64, 64), (60, 64)]):
        draw(folder / f"{number}.png", 20 + number, size, f"bear, number {number}")
    config.dataset.repeats, config.dataset.flip, config.dataset.holdout = 3, True, 0.0
    config.training.batch_size, config.training.epochs = 2, 2
    ours = build()
    assert ours.plan.total_steps == 9 and ours.bucket_counts() == {(64, 64): 9}
    rows = [Row(2, 0, 0), Row(2, 1, 0), Row(2, 2, 1), Row(2, 0, 1)]
    cropped = ImageFacts((60, 64), (0, 2), (64, 64))  # scaled to 64 x 68, two rows cut at the top
    assert set(ours.batch(rows).facts) == {cropped}
    config.compat.letterbox_offsets = True
    fitted = ImageFacts((60, 64), (2, 0), (64, 64))
    assert set(build().batch(rows).facts) == {fitted}  # 60 x 64, two columns free on each side
    config.compat.round_each_epoch = True
    assert build().plan.total_steps == 10
    draw(folder.with_name("heldout") / "a.png", 99, (60, 64))
    config.dataset.validation_path = str(folder.with_name("heldout"))
    assert [image.facts for image in build().heldout()] == [fitted], "measured as it is trained"


def test_the_bucket_by_ratio_reaches_the_images(build, draw, folder, config):
    for number in range(2):
        draw(folder / f"{number}.png", 20 + number, (62, 70))
    assert build().bucket_counts() == {(64, 64): 2}  # keeps 62 / 70 = 0.886 of it; 56 x 72 keeps 0.778 / 0.886 = 0.878
    config.compat.bucket_by_ratio = True
    assert build().bucket_counts() == {(56, 72): 2}  # 0.108 away, and the square 0.114


def test_the_way_of_shrinking_reaches_latents_and_held_out_images(build, folder, config, draw):
    """A step edge between pixels: by the area nothing leaves the two values, Lanczos overshoots beside it."""
    edge = Image.new("RGB", (84, 84), (60, 60, 60))
    edge.paste((200, 200, 200), (0, 0, 40, 84))
    for name in ("train", "held"):
        folder.with_name(name).mkdir()
        edge.save(folder.with_name(name) / "a.png")
        (folder.with_name(name) / "a.txt").write_text(name)
        edge = ImageOps.flip(ImageOps.mirror(edge))
    config.dataset.path, config.dataset.validation_path = str(folder.with_name("train")), str(folder.with_name("held"))
    config.training.batch_size = 1
    sharp = build()
    assert sharp.seen(heldout=True)[0].open().getextrema()[0][0] < 60
    config.compat.area_shrinking = True
    mean = build()
    assert mean.seen(heldout=True)[0].open().getextrema()[0] == (60, 200)
    assert not torch.equal(sharp.heldout()[0][0], mean.heldout()[0][0]), "one cache, two entries"
    assert not torch.equal(sharp.batch([Row(0, 0, 0)]).latents, mean.batch([Row(0, 0, 0)]).latents)


def test_frozen_latents_are_one_sample_of_each_image_and_of_its_mirror_image(build, draw, folder, config):
    for number in range(2):
        draw(folder / f"{number}.png", 20 + number)
    rows = [Row(1, repeat, epoch) for repeat in range(2) for epoch in range(4)]
    config.dataset.flip = True
    assert len({latent.sum().item() for latent in build().batch(rows).latents}) == 8
    config.compat.frozen_latents = True
    dataset = build()
    latents = dataset.batch(rows).latents
    flips = torch.tensor([dataset._flipped(row) for row in rows])
    assert 0 < flips.sum() < 8 and len({latent.sum().item() for latent in latents}) == 2
    for kind in (flips, ~flips):
        assert all(torch.equal(latent, latents[kind][0]) for latent in latents[kind])
    other = dataset.batch([Row(0, 0, 0)]).latents
    deviations = [latent.flatten() - latent.flatten().mean() for latent in (latents[0], other[0])]
    assert not torch.equal(*deviations)
    assert latents[0][0].std().item() == pytest.approx(0.125, rel=0.2), "a sample, not the mean"


def test_a_batch_is_a_pure_function_of_seed_and_rows(build, bears, config):
    config.dataset.flip, config.dataset.caption_dropout = True, 0.5
    rows = [Row(3, 0, 5), Row(1, 2, 0)]
    first = build().batch(rows)
    dataset = build()
    dataset.batch([Row(0, 0, 0)])
    torch.manual_seed(9)
    second = dataset.batch(rows)
    assert torch.equal(first.latents, second.latents)
    assert first.captions == second.captions
    assert torch.equal(first.latents[1:], dataset.batch(rows[1:]).latents), "neighbours change nothing"
    config.seed = 2
    assert not torch.equal(build().batch(rows).latents, first.latents)


def test_flip_mirrors_half_of_the_draws_and_their_crop(build, folder, config):
    image = Image.new("RGB", (67, 64), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 33, 64))
    folder.mkdir()
    image.save(folder / "a.png")
    (folder / "a.txt").write_text("a bear")
    config.dataset.flip, config.training.batch_size = True, 1
    dataset = build()
    seen = Counter()
    for epoch in range(300):
        batch = dataset.batch([Row(0, 0, epoch)])
        red_is_left = bool(batch.latents[0, 0, :, 0].mean() > 0)
        seen[red_is_left, batch.facts[0].crop[0]] += 1
    assert seen.keys() == {(True, 1), (False, 2)}  # 3 columns are cut: 1 at the left, 2 at the right
    assert seen[True, 1] / 300 == pytest.approx(0.5, abs=0.08)
    config.dataset.flip = False
    plain = build()
    assert all(plain.batch([Row(0, 0, epoch)]).facts[0].crop[0] == 1 for epoch in range(20))


def test_plan_follows_repeats_and_buckets(build, bears, config):
    config.dataset.repeats = 5
    config.training.epochs, config.training.batch_size = 3, 4
    dataset = build()
    assert dataset.plan.total_steps == 23 + 8  # 6 x 5 x 3 / 4 = 22.5 and 2 x 5 x 3 / 4 = 7.5
    assert dataset.plan.explain().startswith("8 images x 5 repeats = 40 draws an epoch")
    seen = Counter()
    for step in range(dataset.plan.total_steps):
        for rows in dataset.plan.batches(step):
            batch = dataset.batch(rows)  # stacks only if the rows are of one bucket
            seen.update(batch.captions)
    assert set(seen.values()) == {15}
    assert len(seen) == 8


def test_max_steps_and_accumulation_reach_the_plan(build, bears, config):
    config.training.max_steps, config.training.gradient_accumulation = 7, 3
    plan = build().plan
    assert plan.total_steps == 7
    assert [len(plan.batches(step)) for step in range(7)] == [3] * 7


def test_tags_that_are_cut_off_are_not_counted_unless_they_are_shuffled(build, bears, draw, folder, config):
    draw(folder / "long.png", 99, caption=", ".join(f"tag{number}" for number in range(60)))
    counted = build().tag_frequency()[folder.name]
    assert "tag0" in counted and "tag59" not in counted
    config.dataset.shuffle_tags = True
    assert "tag59" in build().tag_frequency()[folder.name]


def test_kohya_folders(build, draw, folder, config):
    draw(folder / "10_bear" / "a.png", 1, caption=None)
    draw(folder / "10_bear" / "b.png", 2, caption="bear, Snow")
    draw(folder / "3_hat" / "c.png", 3, caption="hat, snow")
    dataset = build()
    assert dataset.plan.explain().startswith("1 image x 3 repeats + 2 images x 10 repeats = 23 draws an epoch")
    assert dataset.folders() == {
        "10_bear": {"n_repeats": 10, "img_count": 2},
        "3_hat": {"n_repeats": 3, "img_count": 1},
    }
    assert dataset.tag_frequency() == {"10_bear": {"bear": 2, "snow": 1}, "3_hat": {"hat": 1, "snow": 1}}
    assert any("10 repeats, from its name" in line for line in build.said)
    config.dataset.repeats = 2
    assert {entry["n_repeats"] for entry in build().folders().values()} == {2}
    assert any("2 repeats, from dataset.repeats (its name says 10)" in line for line in build.said)


def test_mean_aspect_error(build, draw, folder):
    draw(folder / "a.png", 1, size=(64, 64))
    draw(folder / "b.png", 2, size=(200, 100))
    # 64 x 64 fits its bucket; 2.0 in the bucket 88 x 40 is 0.2 off: (0 + 0.2) / 2
    assert build().mean_aspect_error() == pytest.approx(0.1)


def test_bucket_counts(build, bears):
    assert build().bucket_counts() == {(64, 64): 6, (88, 40): 2}


def test_without_buckets_all_are_square(build, bears, config):
    config.dataset.buckets = False
    dataset = build()
    assert dataset.bucket_counts() == {(64, 64): 8}
    assert dataset.batch([Row(7, 0, 0)]).facts == [ImageFacts((96, 48), (32, 0), (64, 64))]  # scaled to 128 x 64


def test_no_upscale(build, draw, folder, config):
    draw(folder / "a.png", 1, (50, 40))
    draw(folder / "b.png", 2, (64, 64))
    config.dataset.bucket_no_upscale = True
    assert build().bucket_counts() == {(48, 40): 1, (64, 64): 1}
    draw(folder / "c.png", 3, (7, 40))
    message = refusal(build)
    assert "c.png: 7 x 40 is smaller than dataset.bucket_step" in message
    assert "set dataset.bucket_no_upscale=false" in message
    config.dataset.on_bad_file = "skip"
    assert "c.png" in build().skipped[0]


def test_caption_rules_reach_the_batch(build, draw, folder, config):
    draw(folder / "a.png", 1, caption="red hat, blue scarf, snow, night")
    rules, config.training.batch_size = config.dataset, 1
    rules.caption_prefix, rules.caption_suffix, rules.keep_tokens, rules.shuffle_tags = "fzb,", ", 4k", 1, True
    texts = {build().batch([Row(0, 0, epoch)]).captions[0] for epoch in range(20)}
    assert len(texts) > 5
    for text in texts:
        assert text.startswith("fzb, ")
        assert sorted(text.split(", ")) == ["4k", "blue scarf", "fzb", "night", "red hat", "snow"]


def test_held_out_images_are_never_trained(build, bears, config):
    config.dataset.holdout, config.dataset.flip, config.dataset.caption_dropout = 0.25, True, 1.0
    config.dataset.repeats = 4
    dataset = build()
    assert dataset.images == 8
    held = dataset.heldout()
    assert len(held) == len(dataset.seen(heldout=True)) == 2
    assert sum(dataset.bucket_counts().values()) == 6 * 4
    config.dataset.caption_dropout = 0.0
    trained = build()
    captions = {
        text
        for step in range(trained.plan.total_steps)
        for rows in trained.plan.batches(step)
        for text in trained.batch(rows).captions
    }
    assert len(captions) == 6
    assert captions.isdisjoint({caption for _, caption, _ in held})
    assert all(caption.startswith("bear, number") for _, caption, _ in held), "no dropout"
    assert any("2 of 8 images held out" in line for line in build.said)
    for repeats in (None, 9):
        config.dataset.repeats = repeats
        assert [caption for _, caption, _ in build().heldout()] == [caption for _, caption, _ in held]


def test_held_out_latents_are_the_mean_and_the_images_what_the_model_sees(build, draw, folder, config):
    for name in ("train", "held"):
        draw(folder.with_name(name) / "a.png", (255, 0, 51) if name == "held" else 1, (100, 40), name)
    config.dataset.path, config.dataset.validation_path = str(folder.with_name("train")), str(folder.with_name("held"))
    config.dataset.flip, config.training.batch_size, config.dataset.holdout = True, 1, 0.5
    dataset = build()
    ((latents, caption, facts),) = dataset.heldout()
    assert latents.shape == (4, 10, 24)
    assert latents[:, 3, 3].tolist() == pytest.approx([0.5, -0.5, -0.3, 0.5], abs=0.002)
    assert latents[0].std() == pytest.approx(0, abs=1e-6)
    assert caption == "held"
    assert facts == ImageFacts((100, 40), (2, 0), (96, 40))
    image = dataset.seen(heldout=True)[0].open()
    assert image.size == (96, 40)
    assert image.getpixel((0, 0)) == (255, 0, 51)
    assert dataset.images == 1, "with a validation folder nothing is taken from training"
    assert dataset.batch([Row(0, 0, 0)]).captions == ["train"]


def test_one_picture_cannot_be_held_out(build, draw, folder, config):
    draw(folder / "a.png", 1)
    draw(folder / "b.png", 1)
    config.dataset.holdout = 0.5
    assert build().heldout() == []
    assert any("nothing is held out" in line for line in build.said)
    assert any("the same picture several times: a.png, b.png" in line for line in build.said)


def test_a_picture_in_two_folders(build, draw, folder, config):
    draw(folder / "a.png", 1)
    draw(folder / "b.png", 2)
    config.dataset.validation_path = str(folder.with_name("validation"))
    draw(folder.with_name("validation") / "other name.bmp", 1)
    config.dataset.regularisation_path = str(folder.with_name("regularisation"))
    draw(folder.with_name("regularisation") / "x.png", 1)
    draw(folder.with_name("regularisation") / "y.png", 2)
    message = refusal(build)
    assert "a.png and " in message
    assert "other name.bmp are the same picture, in dataset.path and in dataset.validation_path" in message
    assert "in dataset.regularisation_path and in dataset.validation_path" in message
    assert message.count("in dataset.path and in dataset.regularisation_path") == 2


def test_regularisation_images(build, bears, draw, config):
    reg = bears.with_name("reg")
    for number in range(3):
        draw(reg / "9_creature" / f"{number}.png", 100 + number, caption=None)
    config.dataset.regularisation_path, config.dataset.regularisation_repeats = str(reg), 2
    config.dataset.repeats, config.dataset.caption_prefix = 5, "fzb,"
    config.loss.prior_loss_weight, config.training.batch_size = 0.3, 4
    dataset = build()
    assert "8 images x 5 repeats + 3 regularisation images x 2 = 46 draws" in dataset.plan.explain()
    assert dataset.images == 8
    assert dataset.bucket_counts() == {(64, 64): 6 * 5 + 3 * 2, (88, 40): 2 * 5}  # as many as are drawn
    seen = Counter()
    for step in range(dataset.plan.epoch_ends[-1]):
        batch = dataset.batch(dataset.plan.batches(step)[0])
        seen.update(zip(batch.captions, [round(weight, 3) for weight in batch.weights.tolist()], strict=True))
    assert seen["creature", 0.3] == 3 * 2 * config.training.epochs
    assert all(text.startswith("fzb, bear") for text, weight in seen if weight == 1)
    assert "creature" in dataset.captions()
    assert dataset.folders().keys() == {"images"}
    assert dataset.folders(regularisation=True) == {"9_creature": {"n_repeats": 2, "img_count": 3}}
    assert any("2 repeats, from dataset.regularisation_repeats (its name says 9)" in line for line in build.said)


def test_captions_to_warm(build, draw, folder, config):
    draw(folder / "a.png", 1, caption="a bear")
    draw(folder / "b.png", 2, caption="a bear")
    draw(folder / "c.png", 3, caption="a hat")
    config.dataset.caption_prefix = "photo of"
    assert build().captions() == ["photo of a bear", "photo of a hat"]
    config.dataset.caption_dropout, config.dataset.holdout = 0.5, 0.3
    assert build().captions() == ["", "photo of a bear", "photo of a hat"]


def test_caption_dropout_with_cached_text(build, bears, base, config):
    config.dataset.caption_dropout = 0.5
    dataset = build()
    text = TextCache(base, dataset.cache, config.dataset.max_tokens)
    text.warm(dataset.captions())
    encoded = len(base.encoded_captions)
    assert encoded == 9
    drawn = Counter()
    for step in range(dataset.plan.total_steps):
        batch = dataset.batch(dataset.plan.batches(step)[0])
        embedded = text(batch.captions)
        drawn.update(batch.captions)
        assert len(embedded.tensors["hidden"]) == len(batch.captions)
    assert 0 < drawn[""] < drawn.total()
    assert len(base.encoded_captions) == encoded


def test_second_version_encodes_nothing_and_trains_on_the_same(build, bears, base, config):
    config.dataset.flip = True
    first = build()
    assert base.encoded_images == 16
    second = build()
    assert base.encoded_images == 16
    rows = first.plan.batches(0)[0]
    assert torch.equal(first.batch(rows).latents, second.batch(rows).latents)


def test_only_what_changed_is_encoded_again(build, bears, base, draw, config):
    build()
    draw(bears / "3.png", 200, caption="bear, number 3")
    (bears / "4.txt").write_text("another caption")
    build()
    assert base.encoded_images == 9
    config.dataset.resolution, config.dataset.bucket_max = 96, 192
    build()
    assert base.encoded_images == 17


def test_where_the_cache_is(build, bears, config, tmp_path):
    build()
    assert (tmp_path / "outputs" / ".cache").is_dir()
    config.dataset.cache = str(tmp_path / "shared")
    build()
    assert (tmp_path / "shared").is_dir()


def test_digest_of_the_data(build, bears, draw, config):
    first = build().sha256
    assert len(first) == 64
    (bears / "0.png").rename(bears / "renamed.png")
    (bears / "0.txt").rename(bears / "renamed.txt")
    config.dataset.holdout = 0.3
    assert build().sha256 == first
    (bears / "1.txt").write_text("another")
    second = build().sha256
    draw(bears / "2.png", 222, caption="bear, number 2")
    third = build().sha256
    draw(bears.with_name("reg") / "r.png", 99)
    config.dataset.regularisation_path = str(bears.with_name("reg"))
    assert len({first, second, third, build().sha256}) == 4


def spoil(folder: Path, draw) -> None:
    (folder / "zero.png").touch()
    (folder / "zero.txt").write_text("a bear")
    draw(folder / "silent.png", 77, caption=None)
    (folder / "lost.txt").write_text("x")


def test_bad_files_stop_the_run_all_at_once(build, bears, draw, config):
    spoil(bears, draw)
    config.dataset.validation_path = "nowhere"
    config.dataset.regularisation_path = str(bears / "0.png")
    message = refusal(build)
    for words in (
        "zero.png: is empty",
        "silent.png: has no caption",
        "lost.txt: is a caption without an image",
        "dataset.validation_path=nowhere does not exist",
        "0.png is a file, not a folder",
    ):
        assert words in message
    assert "(5 problems)" in message


def test_bad_files_are_skipped_and_recorded(build, bears, draw, config):
    spoil(bears, draw)
    config.dataset.on_bad_file = "skip"
    dataset = build()
    assert dataset.images == 8
    assert [line.split(": ")[0].rsplit("/", 1)[1] for line in dataset.skipped] == ["lost.txt", "silent.png", "zero.png"]
    (told,) = [line for line in build.said if "3 files left out because of dataset.on_bad_file=skip" in line]
    assert all(name in told for name in ("lost.txt", "silent.png", "zero.png"))
    assert build().sha256 == dataset.sha256


def test_skipping_everything_is_still_an_error(build, folder, draw, config):
    folder.mkdir()
    (folder / "zero.png").touch()
    (folder / "zero.txt").write_text("a bear")
    config.dataset.on_bad_file = "skip"
    assert "zero.png: is empty" in refusal(build)
    config.dataset.path = "nowhere"
    assert "dataset.path=nowhere does not exist" in refusal(build)


def test_fewer_images_than_a_batch(build, bears, draw, config):
    config.training.batch_size, config.dataset.repeats = 9, 50
    message = refusal(build)
    assert "has 8 training images, fewer than training.batch_size=9: set training.batch_size to at most 8" in message
    config.training.batch_size, config.dataset.holdout = 8, 0.1
    assert "has 7 training images (1 more held out), fewer than training.batch_size=8" in refusal(build)
    config.training.batch_size = 7
    build()


def test_sizes_that_cut_latent_pixels(build, bears, config):
    config.dataset.bucket_step = 6
    assert "dataset.bucket_step=6: expected a multiple of 4" in refusal(build)
    config.dataset.buckets, config.dataset.resolution = False, 62
    assert "dataset.resolution=62: expected a multiple of 4" in refusal(build)


def test_missing_trigger_is_pointed_out(build, bears, config):
    config.dataset.trigger = "Bear"
    build()
    assert not any("trigger" in line for line in build.said)
    (bears / "3.txt").write_text("number 3")
    build()
    assert any('warning: 1 of 8 captions lack the trigger "Bear": 3.txt' in line for line in build.said)


def test_progress_is_shown(bears, config, base):
    shown = []

    def progress(things, description):
        shown.append((description, len(things)))
        return things

    config.dataset.flip, config.dataset.holdout = True, 0.25
    Dataset.build(config, base, print_line=lambda line: None, progress=progress)
    assert shown == [(f"reading {config.dataset.path}", 8), ("encoding images", 8), ("encoding mirrored images", 6)]


@pytest.fixture
def spots(folder) -> Path:
    """Eight pictures of a bar in the left half, each at another place, and a mirrored copy of the first."""
    folder.mkdir()
    for number in range(8):
        image = Image.new("RGB", (64, 64), "white")
        image.paste((10 * number, 0, 60), (2 + 6 * (number % 4), 6 + 24 * (number // 4), 12 + 6 * (number % 4), 40))
        image.save(folder / f"{number}.png")
    with Image.open(folder / "0.png") as first:
        ImageOps.mirror(first).save(folder / "8.png")
    for image in folder.glob("*.png"):
        image.with_suffix(".txt").write_text(f"bear {image.stem}")
    return folder


def test_folds_hold_each_image_out_once_and_near_duplicates_together(build, spots, config):
    config.dataset.folds, config.dataset.holdout = 3, 0.1
    held: list[set[str]] = []
    for fold in (1, 2, 3):
        config.dataset.fold = fold
        dataset = build()
        held.append({caption for _, caption, _ in dataset.heldout()})
        rows = [
            row for step in range(dataset.plan.total_steps) for batch in dataset.plan.batches(step) for row in batch
        ]
        assert not held[-1] & set(dataset.batch(rows).captions), "what is held out does not train"
        assert len({row.item for row in rows}) == 9 - len(held[-1])
        assert dataset.images == 9 and dataset.heldout_count == len(held[-1])
        said = "\n".join(build.said)
        assert f"{len(held[-1])} of 9 images held out to measure the loss (fold {fold} of 3)" in said
        assert "near-duplicates stay in one fold: 0.png = 8.png" in said
    assert [len(fold) for fold in held] == [3, 3, 3]
    assert set.union(*held) == {f"bear {number}" for number in range(9)}
    (with_first,) = [fold for fold in held if "bear 0" in fold]
    assert "bear 8" in with_first
    before = [sorted(fold) for fold in held]
    config.dataset.fold, config.seed = 1, 77
    assert sorted(caption for _, caption, _ in build().heldout()) == before[0], "repeats with other seeds compare"
    config.evaluation.seed = 5
    assert sorted(caption for _, caption, _ in build().heldout()) != before[0]


def test_more_folds_than_different_images_are_refused(build, spots, config):
    config.dataset.folds, config.dataset.fold = 9, 1
    message = refusal(build)
    assert "dataset.folds=9" in message and "has 8 different images (9 images, near-duplicates counted once)" in message
    config.dataset.folds = 8
    assert build().heldout_count in (1, 2)


def test_all_images_train_without_holdout_and_folds(build, spots, config):
    config.dataset.holdout = 0.0
    dataset = build()
    assert dataset.heldout_count == 0 and dataset.images == 9
    assert sum(len(rows) for step in range(dataset.plan.batches_per_epoch) for rows in dataset.plan.batches(step)) >= 9
