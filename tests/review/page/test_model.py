"""From records to what the page shows: which versions, which measures, how large the pictures."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from lorasweep.commands.cli import main
from lorasweep.review.page import thumbnails
from lorasweep.review.page.choice import Choice, choose
from lorasweep.review.page.collect import collect
from lorasweep.review.page.measures import infos, measured
from lorasweep.review.page.payload import payload, relative_to
from lorasweep.review.page.render import inline_json

from .made_up import write_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two LoRAs of two versions each; the Food ones are trials of a study with a plot."""
    root = tmp_path / "outputs"
    for number in (1, 2):
        write_version(root, number, epochs=1, settings={"network.rank": 4 * number})
        write_version(root, number, name="Food", epochs=1, trial={"study": "meals", "number": number})
    plots = root / "studies" / "meals" / "plots"
    plots.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(plots / "history.png")
    return root


@pytest.mark.parametrize(
    ("typed", "lora", "study"),
    [
        ("food", "food", None),
        ("FuzzyBear", "fuzzybear", None),
        ("outputs/fuzzybear", "fuzzybear", None),
        ("outputs/fuzzybear/", "fuzzybear", None),
        ("meals", None, "meals"),
        ("outputs/studies/meals", None, "meals"),
        ("outputs", None, None),
        (None, None, None),
    ],
)
def test_what_is_meant_is_found_by_name_or_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch, typed: str | None, lora: str | None, study: str | None
) -> None:
    monkeypatch.chdir(root.parent)
    found = choose(typed, Path("outputs"))
    assert (found.lora, found.study) == (lora, study) and found.home.resolve().is_dir()
    assert len(found.versions()) == (2 if lora or study else 4)
    monkeypatch.chdir(root / "food")
    assert choose(".", Path("outputs")).versions()[0].name == "Food"


def test_the_verb_writes_beside_the_versions_and_says_what_there_is_instead(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root.parent)
    assert main(["review", "outputs/fuzzybear"]) == 0
    assert "wrote outputs/fuzzybear/review.html: 2 versions, 16 pictures" in capsys.readouterr().out
    assert main(["review", "meals", "--single-file", "-o", "to_send.html"]) == 0
    assert (root.parent / "to_send.html").stat().st_size > 300_000  # the libraries alone
    assert main(["review", "fuzybear"]) == 2
    assert "it has food, fuzzybear, meals; did you mean fuzzybear?" in capsys.readouterr().err
    assert main(["review", "--output-root", "nowhere"]) == 2
    assert "train one first" in capsys.readouterr().err


def test_a_study_brings_its_plots_and_versions_that_do_not_compare_stay_apart(root: Path) -> None:
    page = collect(Choice(root, study="meals"))
    assert [(plot.study, plot.title) for plot in page.plots] == [("meals", "history")]
    assert page.title == "study meals" and [version.trial for version in page.versions] == [("meals", 1), ("meals", 2)]
    both = collect(Choice(root))
    assert {version.lora: version.group for version in both.versions} == {"FuzzyBear": 1, "Food": 0}
    assert "network.rank" in both.keys and len(both.groups) == 2


def test_a_measure_has_its_interval_and_its_distance_from_the_base() -> None:
    metrics = {
        "image/clip_image": 0.7,
        "image/clip_image_low": 0.6,
        "image/clip_image_high": 0.8,
        "image/clip_text": 0.3,
        "image/clip_text_delta": -0.05,
        "val/loss": float("nan"),
        "val/loss_ratio_bin_0": 0.9,
        "mine/mood": 4.0,
    }
    found = measured(metrics, {"image/clip_image": 0.5, "image/clip_text": 0.4})
    assert list(found) == ["image/clip_image", "image/clip_text", "mine/mood"]
    image, text = found["image/clip_image"], found["image/clip_text"]
    assert (image.low, image.high, image.delta) == (0.6, 0.8, pytest.approx(0.2))
    assert text.delta == -0.05, "measured at the same prompts and seeds: better than a difference of means"
    labels = {info.name: (info.label, info.direction) for info in infos(found)}
    assert labels["image/clip_image"] == ("CLIP image similarity", "maximize")
    assert labels["mine/mood"] == ("mine/mood", "")


def test_what_the_script_reads_is_finite_and_cannot_end_its_element(root: Path) -> None:
    write_version(root, 3, epochs=2, recipe="</script>\u2028&", settings={"optimizer.lr": float("inf")})
    page = collect(Choice(root, lora="fuzzybear"))
    data = payload(page, relative_to(root / "fuzzybear"), [])
    text = inline_json(data)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == data and data["config"]["differing"]["optimizer.lr"][2] is None
    assert data["cells"]["file"][0] == "v1/samples/000000_00.png"
    assert data["config"]["common"]["network.alpha"] is not None and "network.alpha" not in data["config"]["differing"]


def test_notes_stand_in_the_place_of_what_was_typed(root: Path) -> None:
    (root / "fuzzybear" / "v2" / "notes.txt").write_text("ears too large\n")
    found = {version.name: version.observations for version in collect(Choice(root, lora="fuzzybear")).versions}
    assert found == {"v1": "network.rank=4", "v2": "ears too large"}


def noise(folder: Path, count: int) -> list[Path]:
    """Return pictures that nothing compresses well."""
    made = []
    for number in range(count):
        file = folder / f"{number}.png"
        Image.effect_noise((256, 192), 80 + number).convert("RGB").save(file)
        made.append(file)
    return made


def test_thumbnails_are_as_large_as_the_budget_allows(tmp_path: Path) -> None:
    pictures = noise(tmp_path, 12)
    sides = {}
    for budget in (2_000_000, 200_000, 40_000):
        found = thumbnails.make(pictures, 192, budget)
        assert sum(map(len, found.images)) <= budget
        opened = Image.open(io.BytesIO(base64.b64decode(found.images[0])))
        assert max(opened.size) == found.side and opened.width / opened.height == pytest.approx(4 / 3, rel=0.05)
        sides[budget] = found.side
    assert sides[2_000_000] == 192 > sides[200_000] > sides[40_000]


def test_where_not_even_small_ones_fit_some_have_none(tmp_path: Path) -> None:
    pictures = noise(tmp_path, 12)
    pictures[0].write_bytes(b"cut")
    found = thumbnails.make(pictures, 192, 4_000)
    assert sum(map(len, found.images)) <= 4_000 and found.images[0] == "" and any(found.images)
