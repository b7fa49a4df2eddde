"""The review page in a browser: it opens, sorts, filters, brushes, compares, slides, and asks nobody for anything."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorasweep.review.page.choice import Choice
from lorasweep.review.page.write import write
from lorasweep.runs import paths

from .conftest import Watched
from .made_up import colour, write_version


def names(tab: Any) -> list[str]:
    """Return the versions in the table, from top to bottom."""
    return tab.locator("#versions tbody td:nth-child(3) button").all_inner_texts()


def heads(tab: Any) -> list[str]:
    """Return the heads of the grid's columns, without marks of the best."""
    return [text.split(" ")[0] for text in tab.locator("#grid th.across").all_inner_texts()]


def alts(tab: Any) -> list[str]:
    """Return what the pictures in the grid are of, row by row."""
    return tab.eval_on_selector_all("#grid td.cell img", "images => images.map((image) => image.alt)")


def painted(tab: Any, selector: str) -> tuple[int, ...]:
    """Return the colour in the middle of a picture, as the browser shows it."""
    tab.wait_for_function("(selector) => document.querySelector(selector)?.complete", arg=selector)
    shown = Image.open(io.BytesIO(tab.locator(selector).screenshot())).convert("RGB")
    found = shown.getpixel((shown.width * 2 // 3, shown.height // 3))  # beside the slider's handle
    assert isinstance(found, tuple)
    return found


def is_near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 6 for a, b in zip(one, other, strict=True))  # WebP is lossy


def slide(tab: Any, label: str, place: int) -> None:
    """Move a slider."""
    script = "(slider, place) => { slider.value = place; slider.dispatchEvent(new Event('input', { bubbles: true })); }"
    tab.get_by_role("slider", name=label, exact=True).evaluate(script, place)


def test_it_opens_with_every_version_and_the_pictures_that_its_records_name(tab: Any) -> None:
    assert tab.locator("h1").inner_text() == "FuzzyBear"
    assert names(tab) == [f"v{number}" for number in range(6, 15)]
    assert heads(tab) == names(tab) and "★" in tab.locator("#grid th.across").last.inner_text()
    # v9 is the fourth column, its selected epoch the third; seed 0 of the second prompt is its third sample.
    cell = '#grid td[data-at="1,3"] img'
    assert tab.locator(cell).get_attribute("alt") == "FuzzyBear v9, epoch 3, a woman, portrait, seed 0"
    assert is_near(painted(tab, cell), colour(9, 3, 2))
    assert is_near(painted(tab, "#grid tbody tr:nth-child(2) td.base img"), colour(9, 0, 2))


def test_the_table_has_the_columns_of_the_documented_history_and_measures_with_intervals(tab: Any) -> None:
    row = tab.locator('#versions tr[data-id="fuzzybear/v7"]').inner_text()
    columns = tab.locator("#versions thead th.own").all_inner_texts()
    for label in (
        "version",
        "epochs",
        "steps",
        "batch",
        "rank",
        "alpha",
        "LR U-Net",
        "LR text encoder",
        "observations",
    ):
        assert label in columns
    assert "ears too large" in row
    # 0.4 + 0.4 x (1 - e^-3) x 7/20 = 0.5330: 0.1330 above the base's
    assert "+0.133" in row and "0.483 to 0.583" in row


def test_it_sorts_by_any_column_both_ways(tab: Any) -> None:
    tab.get_by_label("sort by rank", exact=True).click()
    assert names(tab) == ["v6", "v9", "v12", "v7", "v10", "v13", "v8", "v11", "v14"]
    tab.get_by_label("sort by rank", exact=True).click()
    assert names(tab)[:3] == ["v8", "v11", "v14"]
    assert tab.locator('th[aria-sort="descending"]').inner_text() == "rank"
    assert heads(tab) == names(tab), "the grid follows the table"


def test_it_filters_by_limits_ranges_and_free_text(tab: Any) -> None:
    tab.get_by_label("filter rank").fill(">4")
    assert names(tab) == ["v7", "v8", "v10", "v11", "v13", "v14"]
    tab.get_by_label("filter LR U-Net").fill("1e-4..1e-3")
    assert names(tab) == ["v10", "v11", "v13", "v14"]
    tab.get_by_role("button", name="clear all filters").click()
    tab.get_by_label("search").fill("EARS large")
    assert names(tab) == ["v7"] and "1 of 9 versions" in tab.locator("#count").inner_text()
    tab.get_by_label("search").fill("")
    tab.get_by_label("filter status").fill("prun")
    assert names(tab) == ["v14"]


def test_columns_are_chosen(tab: Any) -> None:
    tab.locator("#columns summary").click()
    tab.locator("#columns").get_by_label("alpha").uncheck()
    tab.locator("#columns").get_by_label("time").check()
    columns = tab.locator("#versions thead th.own").all_inner_texts()
    assert "alpha" not in columns and "time" in columns


def test_the_table_is_worked_by_keys(tab: Any) -> None:
    tab.locator("#versions tbody tr").first.focus()
    for key in ("ArrowDown", "Space", "ArrowDown", "Space"):
        tab.keyboard.press(key)
    assert heads(tab) == ["v7", "v8"], "those that were picked"
    tab.keyboard.press("Enter")
    assert "FuzzyBear v8: complete" in tab.locator("#version h2").inner_text()


def test_axes_are_swapped_and_any_setting_is_one(tab: Any) -> None:
    tab.get_by_label("rows", exact=True).select_option("version")
    assert tab.get_by_label("columns", exact=True).input_value() == "prompt", "the other axis gives way"
    assert tab.locator("#grid thead tr.base img").count() == 2, "the base has a row, for each prompt has its own"
    tab.get_by_label("rows", exact=True).select_option("network.rank")
    tab.get_by_label("columns", exact=True).select_option("optimizer.lr")
    assert tab.locator("#grid tbody th").all_inner_texts() == ["rank 4", "rank 8", "rank 16"]
    notes = tab.locator("#grid tbody tr").first.locator("td.cell").all_inner_texts()
    assert [note.split(" · ")[0] for note in notes] == ["v9", "v12", "v6"], "by rate: 1e-4, 1e-3, 5e-3"
    tab.get_by_label("columns", exact=True).select_option("prompt")
    notes = tab.locator("#grid tbody td.cell:nth-of-type(1)").all_inner_texts()
    best = ["v12, best of 3", "v13, best of 3", "v14, best of 3"]
    assert [note.split(" · ")[0] for note in notes] == best, "where several fit, the one with the lowest loss"


def test_one_slider_moves_all_pictures_by_epoch_and_one_each_setting(tab: Any) -> None:
    slide(tab, "epoch", 1)
    assert len(alts(tab)) == 18 and all("epoch 1," in alt for alt in alts(tab))
    assert is_near(painted(tab, '#grid td[data-at="0,0"] img'), colour(6, 1, 0))
    tab.keyboard.press("]")
    assert all("epoch 2," in alt for alt in alts(tab))
    slide(tab, "rank", 2)
    assert heads(tab) == ["v7", "v10", "v13"], "those of rank 8"
    slide(tab, "seed", 1)
    assert all("seed 7" in alt for alt in alts(tab))


def test_heads_and_base_stay_in_sight(tab: Any) -> None:
    tab.evaluate("update({ size: 384 })")
    before = tab.locator("#grid tbody td.base").first.bounding_box()["x"]
    tab.evaluate("document.getElementById('grid').scrollTo(700, 300)")
    assert tab.evaluate("document.getElementById('grid').scrollLeft") > 600
    assert tab.locator("#grid tbody td.base").first.bounding_box()["x"] == pytest.approx(before, abs=1)
    corner, top = tab.locator("#grid .corner").bounding_box(), tab.locator("#grid").bounding_box()["y"]
    assert corner["y"] == pytest.approx(top, abs=2)


@pytest.mark.parametrize("overlay", ["outline", "bars", "heat map"])
def test_scores_are_laid_over_the_pictures(tab: Any, overlay: str) -> None:
    tab.get_by_label("scores", exact=True).select_option(overlay)
    tab.get_by_label("of", exact=True).select_option("val/loss_ratio")
    read = (
        "(cells) => cells.map((cell) => [cell.dataset.overlay, cell.style.getPropertyValue('--score'), cell.innerText])"
    )
    cells = tab.eval_on_selector_all("#grid tbody tr:first-child td.cell", read)
    assert {cell[0] for cell in cells} == {overlay}
    assert (cells[0][1], cells[-1][1]) == ("0.000", "1.000"), "the lowest loss is the best"
    assert "0.829" in cells[0][2], "1 - 0.6 x (1 - e^-3) x 6/20"


def test_the_keyboard_moves_in_the_grid_and_shows_the_base_while_b_is_held(tab: Any) -> None:
    tab.locator('#grid td[data-at="0,0"]').focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.dataset.at") == "1,1"
    tab.keyboard.down("b")
    assert all(alt.startswith("base,") for alt in alts(tab))
    tab.keyboard.up("b")
    assert all(alt.startswith("FuzzyBear") for alt in alts(tab))


def test_a_picture_is_compared_with_the_base_and_with_other_versions(tab: Any) -> None:
    tab.locator('#grid td[data-at="0,1"]').focus()
    tab.keyboard.press("Enter")
    box = tab.locator("#lightbox")
    tab.wait_for_selector("#lightbox img-comparison-slider.rendered")
    assert box.locator("img[slot=first]").get_attribute("alt").startswith("base,")
    assert "epoch 3" in box.locator("h2").inner_text() and "v7/samples/000003_00.png" in box.locator("dl").inner_text()
    assert is_near(painted(tab, "#lightbox img[slot=second]"), colour(7, 3, 0))
    place = box.locator("img-comparison-slider").bounding_box()
    tab.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(place["x"] + place["width"] / 4, place["y"] + place["height"] / 2, steps=4)
    tab.mouse.up()
    assert box.locator("img-comparison-slider").evaluate("(slider) => slider.value") == pytest.approx(25, abs=3)
    box.get_by_label("compare with").select_option("fuzzybear/v6")
    assert box.locator("img[slot=first]").get_attribute("alt").startswith("FuzzyBear v6, epoch 3")
    box.get_by_label("right in the grid").click()
    assert "FuzzyBear v8" in box.locator("h2").inner_text()
    tab.keyboard.press("Escape")
    tab.wait_for_function("() => document.activeElement.dataset.at === '0,2'")  # back at what was seen last


def drag(tab: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*end, steps=5)
    tab.mouse.up()


def test_a_brush_along_an_axis_filters_table_and_grid(tab: Any) -> None:
    axis = tab.locator('#parallel .brush[data-column="network.rank"] .overlay')
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    middle = box["x"] + box["width"] / 2
    # The upper half of an axis from 4 to 16.
    drag(tab, (middle, box["y"] + 2), (middle, box["y"] + box["height"] / 2))
    assert names(tab) == ["v8", "v11", "v14"] and heads(tab) == ["v8", "v11", "v14"]
    assert tab.locator("#parallel .lines path.left").count() == 6
    tab.get_by_label("remove the filter on rank").click()
    assert len(names(tab)) == 9


def test_dots_show_their_picture_and_are_brushed_by_both_axes(tab: Any) -> None:
    tab.get_by_label("across", exact=True).select_option("network.rank")
    tab.get_by_label("up", exact=True).select_option("val/loss_ratio")
    dots = tab.locator("#scatter circle")
    dots.first.scroll_into_view_if_needed()
    dots.first.hover()
    assert "FuzzyBear v6" in tab.locator("#tip").inner_text()
    assert is_near(painted(tab, "#tip img"), colour(6, 3, 0))
    brush = tab.locator("#scatter .overlay").bounding_box()
    # The lower left quarter holds the low ranks with the low losses.
    bottom, left = brush["y"] + brush["height"], brush["x"]
    drag(tab, (left + 1, bottom - 1), (left + brush["width"] * 0.5, bottom - brush["height"] * 0.5))
    assert names(tab) == ["v10", "v12", "v13"] or set(names(tab)) < {f"v{n}" for n in (9, 10, 12, 13)}
    assert tab.locator("#chips button").count() == 2


def test_a_version_has_a_view_of_its_own(tab: Any) -> None:
    tab.locator('#versions tr[data-id="fuzzybear/v13"] button').click()
    sheet = tab.locator("#version")
    assert sheet.locator(".curves svg").count() == 3 and sheet.locator(".strip img").count() == 16
    assert sheet.locator(".strip td.selected").count() == 4
    sheet.get_by_label("beside").select_option("fuzzybear/v14")
    rows = sheet.locator(".difference tbody tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [["network.rank", "8", "16"]]
    assert "python train.py network.rank=8 optimizer.lr=" in sheet.locator(".commands").inner_text()
    sheet.get_by_role("button", name="next →").click()
    assert "FuzzyBear v14: pruned" in sheet.locator("h2").inner_text()
    assert "resume=v14" in sheet.locator(".commands").inner_text()


def test_the_address_keeps_the_view(tab: Any) -> None:
    tab.get_by_label("sort by rank", exact=True).click()
    tab.get_by_label("filter rank").fill(">4")
    tab.get_by_label("columns", exact=True).select_option("epoch")
    before = (names(tab), heads(tab), alts(tab))
    address = tab.url
    tab.goto("about:blank")
    tab.goto(address)
    assert (names(tab), heads(tab), alts(tab)) == before
    tab.goto("about:blank")
    tab.goto(address.partition("#")[0] + "#rows=3&brushes=[1&sort=nothing&nonsense=1&prompt=99")
    assert len(names(tab)) == 9, "a link that was cut opens the page as it is at first"


def test_weights_that_changed_nothing_are_told(watched: Watched, tmp_path: Path) -> None:
    folder = write_version(tmp_path, 1, epochs=2)
    for index in range(4):
        shutil.copy(paths.sample(folder, 0, index), paths.sample(folder, 2, index))
    tab = watched.open(write(Choice(tmp_path), tmp_path / "review.html", single=False).file.as_uri())
    assert "same as the base" in tab.locator("#grid td.cell").first.inner_text()
    slide(tab, "epoch", 1)
    assert "same as the base" not in tab.locator("#grid td.cell").first.inner_text()


HOSTILE = "</script><script>window.taken=1</script><img src=x onerror=window.taken=1>&lt;b&gt;{{7*7}}\u2028--><!--"


def test_what_users_wrote_is_text(watched: Watched, tmp_path: Path) -> None:
    folder = write_version(tmp_path, 1, prompts=[HOSTILE, f"{{trigger}} {HOSTILE}"], recipe=HOSTILE, reason=HOSTILE)
    write_version(tmp_path, 2, name=f"Bear {HOSTILE}", prompts=[HOSTILE], overrides=[f"dataset.trigger={HOSTILE}"])
    (folder / "notes.txt").write_text(HOSTILE)
    watched.said.clear()
    tab = watched.open(write(Choice(tmp_path), tmp_path / "review.html", single=False).file.as_uri())
    tab.locator('#versions tr[data-id="fuzzybear/v1"] button').click()
    assert HOSTILE in tab.locator("#version").evaluate("(sheet) => sheet.textContent")
    tab.keyboard.press("Escape")
    tab.locator("#grid td.cell img").first.click()
    assert tab.locator("#lightbox figcaption").evaluate("(words) => words.textContent") == HOSTILE
    assert tab.evaluate("window.taken") is None and not watched.said


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_everybody_can_use_it_in_both_themes_wide_and_narrow(tab: Any, theme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.emulate_media(color_scheme=theme)
    tab.set_viewport_size({"width": width, "height": 800})
    try:
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (theme == "dark")
        for opened in (
            "update({ overlay: 'bars', filters: { rank: '4' } })",
            "openPicture(0, 1)",
            "update({ open: 'fuzzybear/v8' })",
        ):
            tab.evaluate(opened)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            found = axe.run(tab)
            assert not found.response["violations"], found.generate_report()
            tab.evaluate("lightbox.close()")
    finally:
        tab.set_viewport_size({"width": 1280, "height": 900})
        tab.emulate_media(color_scheme="light")


def test_a_page_that_stands_alone_needs_no_file_beside_it(watched: Watched, outputs: Path, tmp_path: Path) -> None:
    written = write(Choice(outputs, lora="fuzzybear"), tmp_path / "alone.html", single=True)
    watched.said.clear()
    watched.asked.clear()
    tab = watched.open(written.file.as_uri())
    tab.locator('#grid td[data-at="0,1"]').click()
    assert is_near(painted(tab, "#lightbox img[slot=second]"), colour(7, 3, 0))
    assert not watched.said and {address.partition(":")[0] for address in watched.asked} <= {"file", "data", "about"}
    assert [address for address in watched.asked if address.startswith("file:")] == [written.file.as_uri()]
