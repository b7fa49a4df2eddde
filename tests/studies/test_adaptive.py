"""The space that follows the dataset: near copies do not count, few images get small ranks."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from lorasweep.data.providers import write_set
from lorasweep.errors import UserError
from lorasweep.schema import Config
from lorasweep.search.space import parse_space
from lorasweep.studies import adaptive
from lorasweep.studies.adaptive import Seen, Variety, variety
from lorasweep.toy.themes import THEMES, draw_theme


def pictures(count: int) -> list[Image.Image]:
    return [drawing.image for drawing in draw_theme("animal", count, size=(128, 128))]


def copies(image: Image.Image, count: int) -> list[Image.Image]:
    """Return an image in other exposures, crops and qualities."""
    found = [image]
    for number in range(1, count):
        changed = ImageEnhance.Brightness(image).enhance(1 + 0.01 * number)
        changed = changed.crop((number % 3, number % 2, image.width - number % 2, image.height - number % 3))
        stream = io.BytesIO()
        changed.save(stream, "JPEG", quality=60 + number % 30)
        found.append(Image.open(stream))
    return found


def measured(images: list[Image.Image]) -> Variety:
    return variety([Seen.of(image) for image in images])


def ranks(dataset: Variety) -> tuple[object, ...]:
    sweeps, _ = adaptive.space(dataset, 1e-4)
    return tuple(parse_space(sweeps, []).distributions["network.rank"].choices)  # type: ignore[attr-defined]


def test_near_copies_do_not_count() -> None:
    twelve = measured(copies(pictures(1)[0], 12))
    assert (twelve.images, twelve.distinct) == (12, 1)
    assert twelve.counted == 1
    assert ranks(twelve) == (2, 4, 8)


def test_different_pictures_all_count() -> None:
    found = measured(pictures(20))
    assert (found.images, found.distinct, found.counted) == (20, 20, 20)
    mixed = measured([*pictures(20), *copies(pictures(1)[0], 5)])
    assert (mixed.images, mixed.distinct) == (25, 20)


def test_pictures_that_are_much_alike_count_for_less() -> None:
    """The same figure on the same white, turned a little each time: distinct pictures, but less to learn."""
    figure = pictures(1)[0]
    turned = measured([figure.rotate(15 * turn, fillcolor="white") for turn in range(24)])
    faint = measured([Image.blend(picture, Image.new("RGB", picture.size, "white"), 0.6) for picture in pictures(24)])
    assert (turned.images, faint.distinct) == (24, 24)
    assert faint.spread < turned.spread < 0.3
    assert faint.counted == pytest.approx(24 * faint.spread / 0.2)
    assert ranks(faint) == (4, 8, 16)
    assert ranks(replace(faint, spread=0.3)) == (8, 16, 32)


def test_distances_are_of_all_pairs() -> None:
    black, white = Image.new("RGB", (20, 20)), Image.new("RGB", (20, 20), "white")
    assert measured([black]) == Variety(1, 1, 0.0)
    assert measured([black, white]).spread == 1
    assert measured([black, white, white]).spread == pytest.approx(2 / 3)


@pytest.mark.parametrize(("theme", "final"), [(name, 8 if name in ("fuzzybear", "robots") else 16) for name in THEMES])
def test_the_seeds_final_rank_is_in_the_middle(theme: str, final: int) -> None:
    found = measured([drawing.image for drawing in draw_theme(theme)])
    assert ranks(found)[1] == final


def test_ranks_grow_with_the_images() -> None:
    sets = [ranks(Variety(count, count, 0.3)) for count in (3, 5, 6, 17, 18, 50, 51, 500)]
    assert [max(found) for found in sets] == [8, 8, 16, 16, 32, 32, 64, 64]


def test_few_images_get_dropout_and_rates_surround_the_recipes() -> None:
    few, why = adaptive.space(Variety(8, 8, 0.3), 1e-3)
    many, _ = adaptive.space(Variety(40, 40, 0.3), 8e-5)
    assert few["network.dropout"] == "choice(0.0, 0.1)"
    assert "network.dropout" not in many
    assert few["optimizer.lr"] == "tag(log, interval(0.0002, 0.005))"
    assert many["optimizer.lr"] == "tag(log, interval(1.6e-05, 0.0004))"
    assert why[0] == "8 images, variety 0.30 (full: 0.2): they count as 8, so the ranks are 4, 8, 16"


def test_a_folder_is_read_as_training_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nested and kohya folders too; the reasons are printed; the same folder gives the same space."""
    write_set("robots", tmp_path / "images" / "10_robot", count=6)
    write_set("food", tmp_path / "images", count=3)
    config = Config(name="x")
    config.dataset.path = str(tmp_path / "images")
    first = adaptive.params(config)
    assert capsys.readouterr().out.startswith("9 images, variety")
    assert first == adaptive.params(config)
    assert list(first) == ["network.rank", "optimizer.lr", "network.dropout"]


def test_a_damaged_folder_is_refused_unless_bad_files_are_skipped(tmp_path: Path) -> None:
    write_set("robots", tmp_path, count=6)
    (tmp_path / "001.png").write_bytes(b"no image")
    config = Config(name="x")
    config.dataset.path = str(tmp_path)
    with pytest.raises(UserError, match=r"001\.png"):
        adaptive.params(config)
    config.dataset.on_bad_file = "skip"
    assert "network.rank" in adaptive.params(config)


def test_without_images_there_is_no_space() -> None:
    with pytest.raises(UserError, match=r"dataset\.path is not set"):
        adaptive.params(Config(name="x"))
