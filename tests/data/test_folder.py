from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from lorasweep.data import captions
from lorasweep.data.folder import TRAINING, Purpose, Scan, scan
from lorasweep.data.images import BadImage, Facts, look
from lorasweep.schema import DatasetConfig

READ = partial(captions.read_caption, rules=DatasetConfig())


def read(root: Path, purpose: Purpose = TRAINING, **options) -> Scan:
    return scan(root, lambda path: look(path, "white"), READ, purpose, **options)


def problems(root: Path, purpose: Purpose = TRAINING, **options) -> list[str]:
    return [str(fault) for fault in read(root, purpose, **options).faults]


def only(things: list) -> str:
    assert len(things) == 1, things
    return things[0]


def unused(root: Path, **options) -> dict[str, str]:
    """Return what is told of each file that takes no part."""
    return {found.path.relative_to(root).as_posix(): found.kind for found in read(root, **options).unused}


def test_plain_folder(tmp_path, draw):
    draw(tmp_path / "b.png", 2, (30, 20), "a bear,\n in snow\n")
    draw(tmp_path / "a.jpg", 1, caption="a hat")
    found = read(tmp_path)
    assert not found.faults
    assert [(s.path.name, s.caption, s.repeats, s.folder) for s in found.samples] == [
        ("a.jpg", "a hat", 1, tmp_path.name),
        ("b.png", "a bear, in snow", 1, tmp_path.name),
    ]
    facts = found.samples[1].facts
    assert (facts.width, facts.height) == (30, 20)
    assert facts == look(tmp_path / "b.png", "white")


def test_nested_folders_in_the_order_of_their_paths(tmp_path, draw):
    for name in ("z.png", "b/c.png", "b/a/x.png", "a-b/c.png", "a/c.png"):
        draw(tmp_path / name)
    names = [s.path.relative_to(tmp_path).as_posix() for s in read(tmp_path).samples]
    assert names == ["a-b/c.png", "a/c.png", "b/a/x.png", "b/c.png", "z.png"]
    assert [s.folder for s in read(tmp_path).samples] == ["a-b", "a", "a", "b", tmp_path.name]


def test_extensions_in_any_case(tmp_path, draw):
    draw(tmp_path / "a.PNG", caption=None)
    (tmp_path / "a.TXT").write_text("a bear")
    assert only([s.caption for s in read(tmp_path).samples]) == "a bear"


def test_kohya_folders_give_repeats_and_captions(tmp_path, draw):
    draw(tmp_path / "10_fuzzy bear" / "a.png", caption=None)
    draw(tmp_path / "10_fuzzy bear" / "more" / "b.png", 2, caption="a bear in snow")
    draw(tmp_path / "3_hat" / "c.png", 3, caption=None)
    draw(tmp_path / "plain" / "d.png", 4)
    found = read(tmp_path)
    assert not found.faults
    assert [(s.caption, s.repeats, s.folder) for s in found.samples] == [
        ("fuzzy bear", 10, "10_fuzzy bear"),
        ("a bear in snow", 10, "10_fuzzy bear"),
        ("hat", 3, "3_hat"),
        ("a bear", 1, "plain"),
    ]
    assert [(s.source and s.source.name, s.label and s.label.words) for s in found.samples] == [
        (None, "fuzzy bear"),
        ("b.txt", "fuzzy bear"),
        (None, "hat"),
        ("d.txt", None),
    ]


def test_kohya_folder_given_itself(tmp_path, draw):
    draw(tmp_path / "7_bear" / "a.png", caption=None)
    sample = read(tmp_path / "7_bear").samples[0]
    assert (sample.caption, sample.repeats) == ("bear", 7)


def test_configured_repeats_win(tmp_path, draw):
    draw(tmp_path / "10_bear" / "a.png")
    draw(tmp_path / "plain" / "b.png", 2)
    assert [s.repeats for s in read(tmp_path, Purpose(repeats=50)).samples] == [50, 50]


@pytest.mark.parametrize("name", ["2024_holidays", "0_off"])
def test_a_number_that_cannot_be_repeats(tmp_path, draw, name):
    draw(tmp_path / name / "a.png")
    draw(tmp_path / "b.png", 2)
    problem = only(problems(tmp_path))
    assert f"{name}: its name asks for {name.split('_')[0]} repeats" in problem
    assert "rename it or set dataset.repeats" in problem
    assert len(read(tmp_path).samples) == 1
    assert not problems(tmp_path, Purpose(repeats=5))


def test_kohya_folder_without_words_needs_captions(tmp_path, draw):
    draw(tmp_path / "10_" / "a.png", caption=None)
    assert "has no caption" in only(problems(tmp_path))


def test_what_others_leave_is_passed_over(tmp_path, draw):
    draw(tmp_path / "a.png")
    for name in (".hidden.png", "._a.png", "a.npz", "a_sdxl.npz", "Thumbs.db", ".DS_Store", "notes.md", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    draw(tmp_path / ".thumbnails" / "a.png", caption=None)
    draw(tmp_path / "__MACOSX" / "a.png", caption=None)
    found = read(tmp_path)
    assert not found.faults
    assert len(found.samples) == 1


def test_links_are_followed_but_not_in_circles(tmp_path, draw):
    draw(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "root")
    found = read(tmp_path / "root")
    assert not found.faults
    assert [s.path.name for s in found.samples] == ["a.png"]


def test_missing_folder_and_file_instead_of_folder(tmp_path, draw):
    problem = only(problems(tmp_path / "nowhere", Purpose("dataset.validation_path")))
    assert problem.startswith(f"dataset.validation_path={tmp_path}/nowhere does not exist")
    image = draw(tmp_path / "a.png")
    assert "is a file, not a folder: set it to a folder" in only(problems(image))


def test_empty_folders(tmp_path, draw):
    assert "holds no images: put some in (.apng .avif" in only(problems(tmp_path))
    (tmp_path / "notes.md").touch()
    assert "holds no images" in only(problems(tmp_path))
    draw(tmp_path / "a.png")
    (tmp_path / "later").mkdir()
    (tmp_path / "10_bear").mkdir()
    (tmp_path / "10_bear" / "a.npz").touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.md").touch()
    told = problems(tmp_path)
    assert [problem.split(": ")[0].rsplit("/", 1)[1] for problem in told] == ["10_bear", "later"]
    assert all("holds no images: put some in it or delete it" in problem for problem in told)


def test_caption_without_image_and_image_without_caption(tmp_path, draw):
    draw(tmp_path / "a.png", caption=None)
    (tmp_path / "b.txt").write_text("a hat")
    first, second = problems(tmp_path)
    assert "a.png: has no caption: write a.txt beside it, or name its folder as kohya does" in first
    assert "b.txt: is a caption without an image: add the image, or rename or delete the caption" in second


def test_the_caption_of_a_video(tmp_path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_bytes(b"x")
    (tmp_path / "b.txt").write_text("a hat falls")
    assert "b.txt: is the caption of a video, b.mp4: save frames as pictures" in only(problems(tmp_path))


def test_another_caption_extension(tmp_path, draw):
    draw(tmp_path / "a.png", caption=None)
    (tmp_path / "a.caption").write_text("a hat")
    assert "set dataset.caption_extension=.caption" in only(problems(tmp_path))
    for extension in (".caption", "caption"):
        assert read(tmp_path, caption_extension=extension).samples[0].caption == "a hat"


def test_empty_caption(tmp_path, draw):
    draw(tmp_path / "a.png", caption=" \n")
    assert "a.txt: is an empty caption: describe the image in it" in only(problems(tmp_path))


def test_duplicate_stems(tmp_path, draw):
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "a.jpg", 2)
    draw(tmp_path / "other" / "a.png", 3)
    found = read(tmp_path)
    assert "a.jpg and a.png would share one caption (a.txt): rename or delete one" in str(only(found.faults))
    assert [s.path.parent.name for s in found.samples] == ["other"]


def test_unreadable_encoding(tmp_path, draw):
    draw(tmp_path / "a b.png", caption=None)
    (tmp_path / "a b.txt").write_bytes("ein Bär".encode("latin-1"))
    problem = only(problems(tmp_path))
    assert "is not UTF-8 text (byte 0xe4 at position 5)" in problem
    assert 'As cp1252 it reads "ein Bär"' in problem and f"'{tmp_path}/a b.txt'" in problem
    (tmp_path / "a b.txt").write_bytes("bear".encode("utf-16-le"))  # no mark: every other byte is zero
    assert "byte 0x00 at position 1" in only(problems(tmp_path))
    (tmp_path / "a b.txt").write_bytes(b"\xff\xfeb\x00\x00\xd8")  # half of a pair
    assert "is not UTF-8 text (byte 0x00 at position 4)" in only(problems(tmp_path))


def test_kinds_of_pictures_that_are_not_read(tmp_path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "b.HEIC").write_bytes(b"x")
    (tmp_path / "b.txt").write_text("its caption is no second problem")
    assert "b.HEIC: is of a kind that is not read here: convert it to PNG or JPEG" in only(problems(tmp_path))


def test_everything_wrong_at_once(tmp_path, draw):
    """One folder with every fault: each is listed once, with its file, and the good image is still found."""
    draw(tmp_path / "good.png", 9)
    (tmp_path / "zero.png").touch()
    (tmp_path / "zero.txt").write_text("a bear")
    draw(tmp_path / "cut.png", 1, (200, 200))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:100])
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "page.txt").write_bytes(b"\xff\xe4")  # two faults: image and caption
    draw(tmp_path / "silent.png", 2, caption=None)
    draw(tmp_path / "blank.png", 3, caption="")
    (tmp_path / "lost.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    found = read(tmp_path)
    assert [(p.split(": ")[0].rsplit("/", 1)[1], p.split(": ")[1][:18]) for p in problems(tmp_path)] == [
        ("blank.txt", "is an empty captio"),
        ("cut.png", "is truncated or da"),
        ("empty", "holds no images"),
        ("lost.txt", "is a caption witho"),
        ("page.jpg", "is not an image (i"),
        ("page.txt", "is not UTF-8 text "),
        ("silent.png", "has no caption"),
        ("zero.png", "is empty (0 bytes)"),
    ]
    assert [s.path.name for s in found.samples] == ["good.png"]


def test_folder_that_may_not_be_opened(tmp_path, draw, monkeypatch):
    draw(tmp_path / "a.png")
    draw(tmp_path / "closed" / "b.png")
    listing = Path.iterdir

    def iterdir(self):
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listing(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert "closed: cannot be read (Permission denied)" in only(problems(tmp_path))


def test_a_large_picture_does_not_warn(tmp_path, draw, monkeypatch, recwarn):
    draw(tmp_path / "a.png", size=(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns above this and refuses twice as much
    assert len(read(tmp_path).samples) == 1
    assert not recwarn.list


def test_progress_sees_every_image(tmp_path, draw):
    for name in ("a.png", "b.png"):
        draw(tmp_path / name)
    seen = []

    def progress(things, description):
        seen.append((len(things), description))
        return things

    read(tmp_path, progress=progress)
    assert seen == [(2, f"reading {tmp_path}")]


def test_bad_images_reach_the_report_as_they_are(tmp_path, draw):
    draw(tmp_path / "a.png")

    def refuse(path: Path) -> Facts:
        raise BadImage("is odd: do this")

    assert str(only(scan(tmp_path, refuse, READ).faults)) == f"{tmp_path}/a.png: is odd: do this"


@pytest.mark.parametrize("folder", ["photos", "10_sage woman"])
def test_captions_of_another_extension_are_no_folders_name(tmp_path, draw, folder):
    draw(tmp_path / folder / "a.png", 1, caption=None)
    (tmp_path / folder / "a.caption").write_text("a hat")
    problem = only(problems(tmp_path))
    assert problem.endswith("a.png: has no caption: write a.txt, or set dataset.caption_extension=.caption")
    assert only(read(tmp_path, caption_extension=".caption").samples).caption == "a hat"


def test_a_single_caption_of_another_extension_is_renamed(tmp_path, draw):
    draw(tmp_path / "10_sage woman" / "a.png", 1)
    draw(tmp_path / "10_sage woman" / "b.png", 2, caption=None)
    (tmp_path / "10_sage woman" / "b.caption").write_text("a hat")
    assert only(problems(tmp_path)).endswith("b.png: has no caption: rename b.caption to b.txt")
    (tmp_path / "10_sage woman" / "b.caption").rename(tmp_path / "10_sage woman" / "b.txt")
    assert not problems(tmp_path)


LISTS = {
    "metadata.jsonl": '{"file_name": "a.png", "text": "a hat"}\n\n{"file_name": "b.png", "text": "a bär"}\n',
    "metadata.csv": "file_name,caption\na.png,a hat\nb.png,a bär\n",
    "metadata.tsv": "image\tprompt\na.png\ta hat\nb.png\ta bär\n",
    "meta_cap.json": '{"a": {"caption": "a hat"}, "b.png": {"caption": "a bär"}, "c.png": {}}',
    "absolute.json": '{"FOLDER/a.png": {"caption": "a hat"}, "FOLDER/b.png": {"caption": "a bär"}}',
    "texts.json": '{"a.png": "a hat", "b.png": "a bär"}',
    "list.json": '[{"image": "a.png", "caption": "a hat"}, {"image": "b.png", "caption": "a bär"}]',
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("folder", ["it's mine", "10_sage woman"])
def test_a_list_of_captions_is_told_with_what_makes_files_of_it(tmp_path, draw, folder, name):
    for image in ("a.png", "b.png"):
        draw(tmp_path / folder / image, ord(image[0]), caption=None)
    content = LISTS[name].replace("FOLDER", str(tmp_path / folder))
    (tmp_path / folder / name).write_text(content, encoding="utf-8")
    problem = only(problems(tmp_path))
    assert f"{name}: holds captions of images, which are read from a file beside each" in problem
    command = re.search(r"`(.*)`", problem)
    assert command is not None
    subprocess.run(command[1].replace("python", sys.executable, 1), shell=True, check=True)
    assert [sample.caption for sample in read(tmp_path).samples] == ["a hat", "a bär"]


def test_a_list_above_the_folders_and_images_that_it_lacks(tmp_path, draw):
    draw(tmp_path / "10_sage" / "a.png", 1, caption=None)
    draw(tmp_path / "10_sage" / "b.png", 2, caption=None)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "10_sage/a.png", "text": "a hat"}\n')
    found = read(tmp_path)
    assert "metadata.jsonl: holds captions" in str(only(found.faults))
    assert [sample.caption for sample in found.samples] == ["sage"]


@pytest.mark.parametrize("name", ["{}.json", "{}.png.json"])
@pytest.mark.parametrize("folder", ["it's mine", "10_sage woman"])
def test_captions_in_a_file_of_metadata_for_each_image(tmp_path, draw, folder, name):
    for image in ("a", "b", "c"):
        draw(tmp_path / folder / f"{image}.png", ord(image), caption="my own" if image == "c" else None)
        metadata = json.dumps({"seed": 1, "caption": f"a bär, {image}"})
        (tmp_path / folder / name.format(image)).write_text(metadata, encoding="utf-8")
    problem = only(problems(tmp_path))
    command = re.search(r"`(.*)`", problem)
    assert command is not None and f"{folder}: holds captions of images" in problem
    subprocess.run(command[1].replace("python", sys.executable, 1), shell=True, check=True)
    assert [sample.caption for sample in read(tmp_path).samples] == ["a bär, a", "a bär, b", "my own"]


@pytest.mark.parametrize("content", ["not json", "[1]", '{"a": 1}', '{"file_name": 1}', ""])
def test_other_lists_are_no_captions(tmp_path, draw, content):
    draw(tmp_path / "10_sage" / "a.png", caption=None)
    for name in (*LISTS, "a.json"):
        (tmp_path / "10_sage" / name).write_text(content)
    assert not problems(tmp_path)


@pytest.mark.parametrize("folder", ["photos", "10_sage woman"])
def test_masks_beside_images_are_no_images(tmp_path, draw, folder):
    for name in ("a", "b", "c", "d"):
        draw(tmp_path / folder / f"{name}.png", ord(name))
    for name in ("a-masklabel", "b_mask", "c-condlabel", "c_depth", "c_alpha", "mask_c", "masks/d"):
        draw(tmp_path / folder / f"{name}.png", 255, caption=None)
    assert unused(tmp_path / folder) == {
        "a-masklabel.png": "masks of OneTrainer",
        "b_mask.png": "masks",
        "c-condlabel.png": "conditioning images",
        "c_depth.png": "conditioning images",
        "c_alpha.png": "masks",
        "mask_c.png": "masks",
        "masks/d.png": "masks",
    }
    assert [sample.path.stem for sample in read(tmp_path / folder).samples] == ["a", "b", "c", "d"]


def test_a_picture_of_a_mask_is_an_image(tmp_path, draw):
    draw(tmp_path / "cat.png", 1)
    draw(tmp_path / "cat_mask.png", 2, caption="a cat with a mask")
    draw(tmp_path / "masks" / "carnival.png", 3)
    assert len(read(tmp_path).samples) == 3
    assert not problems(tmp_path)


def test_all_else_is_named_for_what_it_is(tmp_path, draw):
    draw(tmp_path / "a.png")
    names = {
        "a.npz": "caches of sd-scripts",
        "a.caption": "captions with another extension (.caption)",
        "a.png.txt": "second captions of an image",
        "a.json": "metadata of single images",
        "a.png.json": "metadata of single images",
        "clip.mp4": "videos",
        "more.zip": "archives",
        "old.safetensors": "weights or caches of other programs",
        "metadata.jsonl": "lists of metadata",
        "train.toml": "settings",
        "README.md": "documents",
        "a.xyz": "files named after images (.xyz)",
    }
    for name in (*names, "Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / name).write_text("x")
    assert unused(tmp_path) == names
    assert not problems(tmp_path)


def test_names_that_people_see_as_equal(tmp_path, draw):
    for image, caption in [
        ("a.png", "a.png.txt"),
        (unicodedata.normalize("NFD", "é.png"), unicodedata.normalize("NFC", "é.txt")),
        ("IMG_1.JPG", "img_1.txt"),
    ]:
        draw(tmp_path / image, len(image), caption=None)
        (tmp_path / caption).write_text(caption)
    found = read(tmp_path)
    assert not (found.faults or found.unused)
    assert all(sample.source and sample.source.name == sample.caption for sample in found.samples)
    assert len(found.samples) == 3


def test_the_name_itself_comes_first(tmp_path, draw):
    for name in ("a", "A"):
        draw(tmp_path / f"{name}.png", ord(name), caption=f"caption {name}")
    draw(tmp_path / "b.png", 1, caption=None)
    draw(tmp_path / "b.jpg", 2, caption=None)
    for name in ("b.png", "b.jpg"):
        (tmp_path / f"{name}.txt").write_text(f"caption {name}")
    found = read(tmp_path)
    assert not found.faults
    assert {sample.path.name: sample.caption for sample in found.samples} == {
        "A.png": "caption A",
        "a.png": "caption a",
        "b.jpg": "caption b.jpg",
        "b.png": "caption b.png",
    }


def test_images_of_one_name_may_share_the_folders_name(tmp_path, draw):
    draw(tmp_path / "10_bear" / "a.png", 1, caption=None)
    draw(tmp_path / "10_bear" / "a.jpg", 2, caption=None)
    assert [sample.caption for sample in read(tmp_path).samples] == ["bear", "bear"]


def test_what_never_ends_is_not_read(tmp_path, draw):
    draw(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    draw(tmp_path / "b.png", 2, caption=None)
    os.mkfifo(tmp_path / "b.txt")
    draw(tmp_path / "c.png", 3, caption=None)
    (tmp_path / "c.txt").write_bytes(b" " * (2 << 20))
    told = problems(tmp_path)
    assert [problem.rsplit("/", 1)[1].split(":")[0] for problem in told] == ["b.txt", "c.txt", "pipe.png", "pipe.png"]
    assert "is a pipe" in told[0] and "has 2,097,152 bytes, which is no caption" in told[1] and "is a pipe" in told[3]


def test_folders_that_are_read_for_something_else_are_left_out(tmp_path, draw):
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "reg" / "b.png", 2)
    assert [s.path.name for s in read(tmp_path, without=[tmp_path / "reg"]).samples] == ["a.png"]
    assert len(read(tmp_path, without=[tmp_path]).samples) == 2


def test_captions_judge_their_text(tmp_path, draw):
    draw(tmp_path / "a.png", 1, caption="a bear <|endoftext|> in snow")
    draw(tmp_path / "10_[trigger] woman" / "b.png", 2, caption=None)
    first, second = problems(tmp_path)
    assert "10_[trigger] woman: names the trigger, and there is none: set dataset.trigger=WORD" in first
    assert "a.txt: has <|endoftext|> in it" in second and second.endswith("take it out")


def test_names_that_are_not_utf8(tmp_path, draw):
    name = os.fsdecode(b"caf\xe9")
    draw(tmp_path / name / f"{name}.png", 1)
    (tmp_path / name / f"empty{name}.png").touch()
    found = read(tmp_path)
    assert only(found.samples).folder == name
    assert str(found.faults[0]).startswith(f"{tmp_path}/caf\\xe9/emptycaf\\xe9.png: ")
