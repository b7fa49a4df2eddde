"""Curves: the numbers behind them, and pictures of whatever was logged."""

import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorasweep.pictures.canvas import ACCENT
from lorasweep.pictures.curves import TRAIN, series, smoothed, write_curves


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
    write_curves(rows(), out, title="FuzzyBear v6", selected_epoch=3, bin_edges=[0, 250, 500, 750, 1000])
    with Image.open(out) as image:
        assert image.size == (1375, 770)
    assert has(out, TRAIN) > 200
    marked = has(out, ACCENT)
    write_curves(rows(), out, title="FuzzyBear v6", bin_edges=[0, 250, 500, 750, 1000])
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
        write_curves(logged, tmp_path / "curves.png", title="FuzzyBear v6", selected_epoch=1)
    with Image.open(tmp_path / "curves.png") as image:
        assert min(image.size) >= 600


def test_pyplot_is_left_alone(tmp_path):
    code = (
        "import sys; from pathlib import Path; from lorasweep.pictures.curves import write_curves;"
        f"write_curves([{{'step': 1, 'train/loss': 1.0}}], Path({str(tmp_path / 'a.png')!r}), title='t');"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
