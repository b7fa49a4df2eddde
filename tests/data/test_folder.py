from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorasweep.data.folder import Scan, decode, scan
from lorasweep.data.images import BadImage, Facts, look


def read(root: Path, **options) -> Scan:
    return scan(root, lambda path: look(path, "white"), **options)


def only(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_plain_folder(tmp_path, draw):
    draw(tmp_path / "b.png", 2, (30, 20), "a bear,\n in snow\n")
    draw(tmp_path / "a.jpg", 1, caption="a hat")
    found = read(tmp_path)
    assert not found.problems
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
    assert not found.problems
    assert [(s.caption, s.repeats, s.folder) for s in found.samples] == [
        ("fuzzy bear", 10, "10_fuzzy bear"),
        ("a bear in snow", 10, "10_fuzzy bear"),
        ("hat", 3, "3_hat"),
        ("a bear", 1, "plain"),
    ]
    notes = "\n".join(found.notes)
    assert "10_fuzzy bear: 10 repeats, from its name" in notes
    assert '3_hat: caption "hat" from its name for 1 without a file' in notes


def test_kohya_folder_given_itself(tmp_path, draw):
    draw(tmp_path / "7_bear" / "a.png", caption=None)
    sample = read(tmp_path / "7_bear").samples[0]
    assert (sample.caption, sample.repeats) == ("bear", 7)


def test_configured_repeats_win_and_say_so(tmp_path, draw):
    draw(tmp_path / "10_bear" / "a.png")
    draw(tmp_path / "plain" / "b.png", 2)
    found = read(tmp_path, repeats=50)
    assert [s.repeats for s in found.samples] == [50, 50]
    assert only(found.notes).endswith("10_bear: 50 repeats, from dataset.repeats (its name says 10)")


@pytest.mark.parametrize("name", ["2024_holidays", "0_off"])
def test_a_number_that_cannot_be_repeats(tmp_path, draw, name):
    draw(tmp_path / name / "a.png")
    draw(tmp_path / "b.png", 2)
    found = read(tmp_path)
    assert f"{name}: its name asks for {name.split('_')[0]} repeats" in only(found.problems)
    assert "rename it or set dataset.repeats" in found.problems[0]
    assert len(found.samples) == 1
    assert not read(tmp_path, repeats=5).problems


def test_kohya_folder_without_words_needs_captions(tmp_path, draw):
    draw(tmp_path / "10_" / "a.png", caption=None)
    assert "has no caption" in only(read(tmp_path).problems)


def test_what_others_leave_is_passed_over(tmp_path, draw):
    draw(tmp_path / "a.png")
    for name in (".hidden.png", "._a.png", "a.npz", "a_sdxl.npz", "Thumbs.db", ".DS_Store", "notes.md", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    draw(tmp_path / ".thumbnails" / "a.png", caption=None)
    draw(tmp_path / "__MACOSX" / "a.png", caption=None)
    found = read(tmp_path)
    assert not found.problems
    assert len(found.samples) == 1


def test_links_are_followed_but_not_in_circles(tmp_path, draw):
    draw(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "root")
    found = read(tmp_path / "root")
    assert not found.problems
    assert [s.path.name for s in found.samples] == ["a.png"]


def test_missing_folder_and_file_instead_of_folder(tmp_path, draw):
    problem = only(read(tmp_path / "nowhere", key="dataset.validation_path").problems)
    assert problem.startswith(f"dataset.validation_path={tmp_path}/nowhere does not exist")
    image = draw(tmp_path / "a.png")
    assert "is a file, not a folder: set it to a folder" in only(read(image).problems)


def test_empty_folders(tmp_path, draw):
    assert "holds no images: put some in (.avif .bmp" in only(read(tmp_path).problems)
    (tmp_path / "notes.md").touch()
    assert "holds no images" in only(read(tmp_path).problems)
    draw(tmp_path / "a.png")
    (tmp_path / "later").mkdir()
    (tmp_path / "10_bear").mkdir()
    (tmp_path / "10_bear" / "a.npz").touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.md").touch()
    problems = read(tmp_path).problems
    assert [problem.split(": ")[0].rsplit("/", 1)[1] for problem in problems] == ["10_bear", "later"]
    assert all("holds no images: put some in it or delete it" in problem for problem in problems)


def test_caption_without_image_and_image_without_caption(tmp_path, draw):
    draw(tmp_path / "a.png", caption=None)
    (tmp_path / "b.txt").write_text("a hat")
    first, second = read(tmp_path).problems
    assert "a.png: has no caption: write a.txt beside it, or name its folder as kohya does" in first
    assert "b.txt: is a caption without an image: add the image, or rename or delete the caption" in second


def test_another_caption_extension(tmp_path, draw):
    draw(tmp_path / "a.png", caption=None)
    (tmp_path / "a.caption").write_text("a hat")
    assert "set dataset.caption_extension=.caption" in only(read(tmp_path).problems)
    for extension in (".caption", "caption"):
        assert read(tmp_path, caption_extension=extension).samples[0].caption == "a hat"


def test_empty_caption(tmp_path, draw):
    draw(tmp_path / "a.png", caption=" \n")
    assert "a.txt: is an empty caption: describe the image in it" in only(read(tmp_path).problems)


def test_duplicate_stems(tmp_path, draw):
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "a.jpg", 2)
    draw(tmp_path / "other" / "a.png", 3)
    found = read(tmp_path)
    assert "a.jpg and a.png would share one caption (a.txt): rename or delete one" in only(found.problems)
    assert [s.path.parent.name for s in found.samples] == ["other"]


@pytest.mark.parametrize(
    "content",
    [
        "ein Bär".encode(),
        "ein Bär".encode("utf-8-sig"),
        "ein Bär".encode("utf-16"),
        b"\xfe\xff" + "ein Bär".encode("utf-16-be"),
    ],
)
def test_encodings_that_are_read(content):
    assert decode(content) == "ein Bär"


def test_unreadable_encoding(tmp_path, draw):
    draw(tmp_path / "a b.png", caption=None)
    (tmp_path / "a b.txt").write_bytes("ein Bär".encode("latin-1"))
    problem = only(read(tmp_path).problems)
    assert "is not UTF-8 text (byte 0xe4 at position 5)" in problem
    assert f"`iconv -f WINDOWS-1252 -t UTF-8 '{tmp_path}/a b.txt'" in problem
    (tmp_path / "a b.txt").write_bytes("bear".encode("utf-16-le"))  # no mark: every other byte is zero
    assert "byte 0x00 at position 1" in only(read(tmp_path).problems)
    (tmp_path / "a b.txt").write_bytes(b"\xff\xfeb\x00\x00\xd8")  # half of a pair
    assert "is not UTF-8 text (byte 0x00 at position 4)" in only(read(tmp_path).problems)


def test_kinds_of_pictures_that_are_not_read(tmp_path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "b.HEIC").write_bytes(b"x")
    (tmp_path / "b.txt").write_text("its caption is no second problem")
    assert "b.HEIC: is of a kind that is not read here: convert it to PNG or JPEG" in only(read(tmp_path).problems)


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
    assert [(p.split(": ")[0].rsplit("/", 1)[1], p.split(": ")[1][:18]) for p in found.problems] == [
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
    assert "closed: cannot be read (Permission denied)" in only(read(tmp_path).problems)


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

    assert only(scan(tmp_path, refuse).problems) == f"{tmp_path}/a.png: is odd: do this"
