"""Sample grids: what is where in the picture, at every size of cell."""

from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageColor

from lorasweep.pictures.before_after import write_before_after
from lorasweep.pictures.canvas import ACCENT, EMPTY, PAPER, font, wrap
from lorasweep.pictures.grid import Column, choose_columns, write_grid
from lorasweep.pictures.prompts import prompts_of

COLOURS = ["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff", "#800000", "#008000"]


@pytest.fixture
def flat(tmp_path):
    """Return a function that writes a picture of one colour."""

    def write(index: int, size: tuple[int, int] = (64, 64)) -> Path:
        path = tmp_path / f"{index}_{size[0]}x{size[1]}.png"
        Image.new("RGB", size, COLOURS[index]).save(path)
        return path

    return write


def box(picture: Path, colour: str) -> tuple[int, int, int, int] | None:
    """Return the box of one exact colour as left, top, right, bottom, or None."""
    with Image.open(picture) as image:
        same = (numpy.asarray(image) == ImageColor.getrgb(colour)).all(axis=2)
    return Image.fromarray(same).getbbox()


def size_of(found: tuple[int, int, int, int] | None) -> tuple[int, int]:
    assert found is not None
    return found[2] - found[0], found[3] - found[1]


def columns(*pictures: list[Path | None], mark: int | None = None) -> list[Column]:
    return [
        Column(f"epoch {number}", column, ["0.487"], mark="selected" if number == mark else "")
        for number, column in enumerate(pictures)
    ]


def test_rows_are_prompts_and_columns_are_epochs(tmp_path, flat):
    out = tmp_path / "grid.png"
    write_grid(columns([flat(0), flat(2)], [flat(1), flat(3)]), ["one", "two"], out, title="FuzzyBear v6")
    top_left, top_right, bottom_left, bottom_right = (box(out, COLOURS[index]) for index in range(4))
    assert top_left[0] == bottom_left[0] < top_right[0] == bottom_right[0]
    assert top_left[1] == top_right[1] < bottom_left[1] == bottom_right[1]
    assert top_left[2] <= top_right[0] and top_left[3] <= bottom_left[1]
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    ("native", "count", "shown"),
    [
        ((64, 64), 10, (192, 192)),  # 150 px of room: enlarged three times to stay legible
        ((64, 64), 2, (320, 320)),  # five times: whole multiples keep the pixels even
        ((200, 200), 2, (200, 200)),  # neither twice as large nor smaller
        ((1024, 1024), 2, (320, 320)),
        ((1024, 1024), 10, (160, 160)),
        ((832, 1216), 3, (219, 320)),
        ((16, 16), 8, (176, 176)),
    ],
)
def test_cells_of_any_size_become_legible(tmp_path, flat, native, count, shown):
    out = tmp_path / "grid.png"
    write_grid(columns([flat(0, native)], *([[None]] * (count - 1))), ["bear"], out, title="FuzzyBear v6")
    assert size_of(box(out, COLOURS[0])) == shown


def test_pictures_of_different_shapes_keep_theirs(tmp_path, flat):
    out = tmp_path / "grid.png"
    write_grid(columns([flat(0, (400, 200))], [flat(1, (100, 200))]), ["bear"], out, title="t")
    wide, tall = size_of(box(out, COLOURS[0])), size_of(box(out, COLOURS[1]))
    assert wide[0] == 2 * wide[1] and tall[1] == 2 * tall[0]


def test_missing_and_torn_pictures_are_empty_tiles(tmp_path, flat):
    out, torn = tmp_path / "grid.png", tmp_path / "torn.png"
    torn.write_bytes(flat(1).read_bytes()[:60])
    write_grid(columns([flat(0)], [torn], [None], [tmp_path / "no.png"]), ["bear"], out, title="t")
    empty, first = box(out, EMPTY), box(out, COLOURS[0])
    assert size_of(empty) == (3 * size_of(first)[0] + 2 * 12, size_of(first)[1])


def test_the_selected_epoch_is_marked(tmp_path, flat):
    out = tmp_path / "grid.png"
    cells = [flat(0)], [flat(1)], [flat(2)]
    write_grid(columns(*cells, mark=1), ["bear"], out, title="t")
    frame, cell = box(out, ACCENT), box(out, COLOURS[1])
    assert frame[0] < cell[0] < cell[2] < frame[2] and frame[1] < cell[1] < cell[3] < frame[3]
    assert frame[2] <= box(out, COLOURS[2])[0]
    write_grid(columns(*cells), ["bear"], out, title="t")
    assert box(out, ACCENT) is None


def test_a_long_prompt_stays_in_its_column(tmp_path, flat):
    for prompt in ("many words " * 60, "one_endless_word" * 40):
        out = tmp_path / "grid.png"
        write_grid(columns([flat(0), flat(1)]), [prompt, "short"], out, title="title " * 80)
        with Image.open(out) as image:
            first, second = box(out, COLOURS[0]), box(out, COLOURS[1])
            blank = Image.new("RGB", (1, 1), PAPER).getpixel((0, 0))
            gap = image.crop((0, first[3], first[0], second[1]))
            assert gap.getcolors() == [(gap.width * gap.height, blank)], "the label does not reach the next row"
            beside = image.crop((first[0] - 10, first[1], first[0], first[3]))
            assert beside.getcolors() == [(beside.width * beside.height, blank)]
        assert size_of(first) == (320, 320)


def test_wrapped_lines_fit_and_lose_nothing_before_the_ellipsis():
    face, text = font(16), "a fuzzy bear with extraordinarilylongwordsthatdonotfit and a hat"
    lines = wrap(text, face, 120, 20)
    assert all(face.getlength(line) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    cut = wrap(text, face, 120, 2)
    assert len(cut) == 2 and cut[1].endswith("…") and face.getlength(cut[1]) <= 120


def test_few_epochs_are_all_shown():
    assert choose_columns([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) == list(range(10))


@pytest.mark.parametrize("selected", [None, 0, 1, 2, 13, 39, 40])
def test_of_forty_epochs_ten_columns_are_shown(selected):
    columns = choose_columns(list(range(41)), selected)
    assert len(columns) == 10 and {0, 1, 40} <= set(columns)
    assert selected is None or selected in columns
    gaps = [right - left for left, right in pairwise(columns[1:])]
    assert max(gaps) <= 9


def test_epochs_that_were_sampled_now_and_then_are_counted_by_position():
    epochs = list(range(0, 200, 5))
    assert 65 in [epochs[column] for column in choose_columns(epochs, 65)]
    assert len(choose_columns(epochs, 66)) == 10  # selected, but not sampled


def test_training_images_stand_apart_and_may_be_fewer_than_rows(tmp_path, flat):
    out = tmp_path / "grid.png"
    training = Column("training images", [flat(0, (320, 180))], apart=True)
    write_grid([training, *columns([flat(1), flat(2)], [flat(3), flat(4)])], ["one", "two"], out, title="t")
    trained, first, second = (box(out, COLOURS[index]) for index in (0, 1, 3))
    assert trained[2] < first[0] and first[0] - trained[2] > second[0] - first[2]
    assert size_of(first) == (320, 320), "training images of another size leave the samples theirs"
    assert box(out, EMPTY) is None


def test_notes_make_room_for_themselves(tmp_path, flat):
    out, heights = tmp_path / "grid.png", []
    for notes in ([], ["0.487"], ["0.487", "rank 8, lr 3e-3", "a third", "a fourth", "one too many"]):
        write_grid([Column("v6", [flat(0)], notes)], ["bear"], out, title="t", notes="held-out loss / base")
        heights.append(box(out, COLOURS[0])[1])
    assert heights[0] < heights[1] < heights[2] and heights[2] - heights[0] == 4 * (heights[1] - heights[0])


def test_words_are_broken_at_their_joints_first():
    face = font(14)
    trigger = "fortnite_fuzzy_bear_character, standing"
    assert wrap(trigger, face, 150, 9) == ["fortnite_fuzzy_bear_", "character, standing"]
    assert wrap("photos/sage-in/the.garden", face, 60, 9)[0].endswith(("/", "-", "."))
    assert all(face.getlength(line) <= 60 for line in wrap("photos/sage-in/the.garden" + "x" * 50, face, 60, 20))


def test_before_after_is_a_row_each_with_the_prompts_above(tmp_path, flat):
    out = tmp_path / "before_after.png"
    pairs = [(flat(0), flat(1)), (flat(2), flat(3))]
    write_before_after(
        pairs, ["a bear", "a bear " * 40], out, title="FuzzyBear v6", labels=("toy base", "FuzzyBear v6"),
        training=[flat(4), flat(5), flat(6)],
    )  # fmt: skip
    base, after, beside, trained = (box(out, COLOURS[index]) for index in (0, 1, 2, 4))
    assert size_of(base) == size_of(after) == size_of(trained) == (384, 384)
    assert base[0] == after[0] and base[3] < after[1], "the version's below the base's"
    assert base[1] == beside[1] and base[2] < beside[0] < beside[2] < trained[0], "prompts side by side, then training"
    assert box(out, COLOURS[5])[1] == after[1] and box(out, COLOURS[6]) is None


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_before_after_fits_a_page_whatever_the_number_of_prompts(tmp_path, flat, count):
    out = tmp_path / "before_after.png"
    pairs = [(flat(0, (1024, 1024)), flat(1, (1024, 1024)))] * count
    write_before_after(pairs, ["a bear with a red scarf"] * count, out, title="t", training=[flat(2)])
    with Image.open(out) as image:
        assert image.width <= 1500 and image.height <= 930 * -(-count // 4)
        assert image.height < 1.6 * image.width, "no taller than a README likes"


def test_labels_that_do_not_fit_the_pictures_are_refused(tmp_path, flat):
    out = tmp_path / "grid.png"
    for cells, rows in (([], ["a"]), ([Column("a", [])], []), ([Column("a", [flat(0), flat(1)])], ["a"])):
        with pytest.raises(ValueError, match="a picture for each row at most"):
            write_grid(cells, rows, out, title="t")
    for pairs, prompts in (([], []), ([(flat(0), flat(1))], [])):
        with pytest.raises(ValueError, match="one prompt per pair"):
            write_before_after(pairs, prompts, out, title="t")
    assert not out.exists()


@pytest.mark.parametrize("place", ["{trigger}", "[trigger]"])
def test_prompts_call_the_trigger_where_captions_do(place):
    called, plain = prompts_of([f"{place}, waving", "standing"], [1], "sage_c")
    assert (called.text, called.triggered) == ("sage_c, waving", True)
    assert (plain.text, plain.triggered) == ("standing", False)
