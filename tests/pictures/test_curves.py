"""Curves: the numbers behind them, and pictures of whatever was logged."""

import math
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from lorasweep.pictures.canvas import ACCENT
from lorasweep.pictures.curves import TRAIN, series, smoothed, write_curves

PARTS = {"unet": "UNet", "text_encoder": "text encoder 1", "text_encoder_2": "text encoder 2"}


def rows(epochs: int = 4, steps: int = 10) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"step": 0, "epoch": 0, "val/loss_ratio": 1.0, "val/loss_ratio_bin_0": 1.0}]
    for step in range(1, epochs * steps + 1):
        epoch = math.ceil(step / steps)
        found.append({"step": step, "epoch": epoch, "train/loss": 1 / step, "train/lr_unet": 1e-4})
        if step % steps == 0:
            ratios = {f"val/loss_ratio_bin_{index}": 0.9 - 0.1 * index for index in range(4)}
            found.append({"step": step, "epoch": epoch, "val/loss_ratio": 0.8**epoch, **ratios})
    return found


def has(picture: Path, colour: str) -> int:
    """Return how many pixels have exactly this colour."""
    wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    with Image.open(picture) as image:
        return {pixel: count for count, pixel in image.convert("RGB").getcolors(1 << 20)}.get(wanted, 0)


def test_series_takes_the_last_of_a_repeated_step_and_skips_what_is_no_number():
    logged = [
        {"step": 2, "a": 5.0},
        {"step": 1, "a": 1.0, "b": 9.0},
        {"step": 3, "a": None},
        {"step": 4, "a": float("nan")},
        {"step": 2, "a": 2.0},
    ]
    assert series(logged, "a") == ([1.0, 2.0], [1.0, 2.0])
    assert series(logged, "c") == ([], [])


def test_smoothing_by_hand():
    # (2 * 1/2 + 8) / (1/2 + 1) = 6; (2 * 1/4 + 8 * 1/2 + 1) / (1/4 + 1/2 + 1) = 22 / 7
    assert smoothed([2.0, 8.0, 1.0], 0.5) == pytest.approx([2.0, 6.0, 22 / 7])
    assert smoothed([2.0, 8.0], 0.0) == [2.0, 8.0]
    assert smoothed([3.0] * 50, 0.98) == pytest.approx([3.0] * 50)
    assert smoothed([], 0.5) == []


def test_the_selected_epoch_is_marked_in_the_picture(tmp_path):
    out = tmp_path / "curves.png"
    write_curves(rows(), out, title="FuzzyBear v6", parts=PARTS, selected_epoch=3, bin_edges=[0, 250, 500, 750, 1000])
    with Image.open(out) as image:
        assert image.size == (1375, 792)
    assert has(out, TRAIN) > 200
    marked = has(out, ACCENT)
    write_curves(rows(), out, title="FuzzyBear v6", parts=PARTS, bin_edges=[0, 250, 500, 750, 1000])
    assert has(out, ACCENT) == 0 < marked
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize(
    "logged",
    [
        [],
        [{"step": 0, "epoch": 0, "val/loss_ratio": 1.0}],
        [{"step": 1, "epoch": 1, "train/loss": None}],
        [{"step": 5, "epoch": 1, "train/loss": 0.5, "train/lr_unet": 0.0}],
        [{"step": 1, "epoch": 1, "train/loss": 0.1}, {"step": 2, "epoch": 2, "train/loss": 1e9}],
        [row for row in rows() if "val/loss_ratio" not in row],
        [{name: value for name, value in row.items() if "bin" not in name} for row in rows()],
    ],
    ids=["nothing", "base only", "nan", "one step", "explosion", "no held-out loss", "no bins"],
)
def test_whatever_was_logged_gives_a_picture_without_warnings(tmp_path, logged):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_curves(logged, tmp_path / "curves.png", title="FuzzyBear v6", parts=PARTS, selected_epoch=1)
    with Image.open(tmp_path / "curves.png") as image:
        assert min(image.size) >= 600


def test_pyplot_is_left_alone(tmp_path):
    code = (
        "import sys; from pathlib import Path; from lorasweep.pictures.curves import write_curves;"
        f"write_curves([{{'step': 1, 'train/loss': 1.0}}], Path({str(tmp_path / 'a.png')!r}), title='t', parts={{}});"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Return a function that draws rows and returns the panels by the beginning of their heading."""
    figures: list[Figure] = []
    save = Figure.savefig

    def saved(figure, *args, **options):
        figure.canvas.draw()
        figures.append(figure)
        return save(figure, *args, **options)

    def draw(logged: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(Figure, "savefig", saved)
        write_curves(logged, tmp_path / "curves.png", title="FuzzyBear v6", parts=PARTS, **options)
        headings = ("training", "learning", "held-out", "the same")
        return {h: a for a in figures[-1].get_axes() for h in headings if a.get_title("left").startswith(h)}

    return draw


def with_rates(**peaks: float) -> list[dict[str, Any]]:
    """Rows of a cosine to 0 for each part."""
    decay = {step: (1 + math.cos(math.pi * step / 40)) / 2 for step in range(1, 41)}
    return [
        {"step": step} | {f"train/lr_{part}": peak * share for part, peak in peaks.items()}
        for step, share in decay.items()
    ]


def test_rates_that_lie_far_apart_can_all_be_seen(drawn):
    panel = drawn(with_rates(unet=3e-3, text_encoder=1e-4, text_encoder_2=1e-4))["learning"]
    assert panel.get_yscale() == "log"
    assert [line.get_label() for line in panel.get_lines()] == ["UNet", "text encoders"], "the same rate, one line"
    low, high = panel.get_ylim()
    for line in panel.get_lines():
        peak = max(line.get_ydata())
        assert 0.3 < math.log(peak / low) / math.log(high / low) < 1, "well above the floor"
    assert panel.get_legend().get_window_extent().y0 >= panel.get_window_extent().y1 - 1, "above the panel, not in it"


def test_rates_that_lie_close_keep_a_plain_axis(drawn):
    panel = drawn(with_rates(unet=1e-4, text_encoder=5e-5, text_encoder_2=4e-5))["learning"]
    assert panel.get_yscale() == "linear"
    assert [line.get_label() for line in panel.get_lines()] == ["UNet", "text encoder 1", "text encoder 2"]


def test_the_training_loss_fills_its_panel_and_one_explosion_does_not_flatten_it(drawn):
    logged = [{"step": step, "train/loss": 0.2 - 0.0001 * step} for step in range(1, 301)]
    low, high = drawn(logged)["training"].get_ylim()
    assert 0.16 < low < 0.17 and 0.2 < high < 0.21
    logged[0]["train/loss"] = 50.0
    assert drawn(logged)["training"].get_ylim()[1] < 0.25


def test_bins_are_named_at_the_ends_of_their_lines_without_overlapping(drawn):
    panel = drawn(rows(), bin_edges=[0, 250, 500, 750, 1000])["the same"]
    labels = [text for text in panel.texts if " to " in text.get_text()]
    assert {label.get_text() for label in labels} == {"0 to 249", "250 to 499", "500 to 749", "750 to 999"}
    assert panel.get_legend() is None
    equal = [{**row, **dict.fromkeys([k for k in row if "bin" in k], 0.9)} for row in rows()]
    boxes = sorted(
        (text.get_window_extent() for text in drawn(equal)["the same"].texts if "bin" in text.get_text()),
        key=lambda box: box.y0,
    )
    assert len(boxes) == 4 and all(above.y0 >= below.y1 - 1 for below, above in pairwise(boxes))
