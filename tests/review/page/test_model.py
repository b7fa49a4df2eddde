"""From records to what the page shows: which versions, which measures, how large the pictures."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from lorasweep.commands.cli import main
from lorasweep.evaluation.cell_keys import Applied, BaseKey, Request
from lorasweep.evaluation.cells import Cells
from lorasweep.pictures.prompts import Prompt
from lorasweep.review.page import thumbnails
from lorasweep.review.page.choice import Choice, choose
from lorasweep.review.page.collect import collect
from lorasweep.review.page.measures import infos, page_measures
from lorasweep.review.page.payload import payload, relative_to
from lorasweep.review.page.render import inline_json
from lorasweep.schema.measures import METRICS

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
        "image/fidelity": 0.7,
        "image/fidelity_low": 0.6,
        "image/fidelity_high": 0.8,
        "image/fidelity_n": 4.0,
        "image/fidelity-dinov2": 0.9,
        "image/fidelity_delta-dinov2": 0.3,
        "image/fidelity_delta_low-dinov2": 0.1,
        "image/fidelity_delta_high-dinov2": 0.5,
        "image/adherence": 0.3,
        "image/adherence_delta": -0.05,
        "image/adherence_worst": 0.1,
        "val/loss": float("nan"),
        "val/loss_ratio": 0.8,
        "val/loss_ratio_bin_0": 0.9,
        "mine/mood": 4.0,
    }
    found = page_measures(metrics, {"image/fidelity": 0.5, "image/adherence": 0.4})
    other = "image/fidelity-dinov2"
    names = ["image/fidelity", other, "image/adherence", "image/adherence_worst", "val/loss_ratio", "mine/mood"]
    assert list(found) == names
    image, text = found["image/fidelity"], found["image/adherence"]
    assert (image.low, image.high, image.delta) == (0.6, 0.8, pytest.approx(0.2))
    assert text.delta == -0.05, "measured at the same prompts and seeds: better than a difference of means"
    assert (found[other].delta_low, found[other].delta, found[other].delta_high) == (0.1, 0.3, 0.5)
    label = METRICS["image/fidelity"].label
    labels = {info.name: (info.label, info.direction) for info in infos([*found, "evaluated image/fidelity"])}
    assert labels["image/fidelity"] == (label, "maximize")
    assert labels[other] == (f"{label}, dinov2", "maximize")
    assert labels["evaluated image/fidelity"] == (f"{label}, evaluated", "maximize")
    assert labels["image/adherence_worst"][1] == "" and labels["mine/mood"] == ("mine/mood", "")
    assert next(iter(labels)) == "val/loss_ratio" and list(labels)[-1] == "mine/mood", "in the registry's order"


def test_evaluations_bring_strengths_hashes_and_figures_that_compare(root: Path) -> None:
    cells = Cells(root)
    place = BaseKey(base="b1", sampler=(), precision="no", max_tokens=75)
    request = Request(Prompt("a bear in snow", 5, True), "", 16, 16, 10, 3.0)
    bare = cells.add(place.key(request), Image.new("RGB", (16, 16), (0, 0, 0)))
    asked = [{"prompt": "a bear in snow", "seed": 5}]
    for number, others in ((1, [0.5]), (2, [])):
        entries = []
        for strength in (*others, 1.0):
            shade = round(100 * strength)
            drawn = cells.add(
                place.key(request, [Applied(f"sha{number}", strength)]), Image.new("RGB", (16, 16), (shade,) * 3)
            )
            entry = {"epoch": 1, "weights": f"sha{number}", "strength": strength, "settings": {"requests": asked}}
            figures = {"metrics": {"image/fidelity": strength}, "base": {"image/fidelity": 0.2}, "distance": 0.1}
            entries.append(entry | figures | {"cells": [drawn.digest, "gone"], "base_cells": [bare.digest]})
        # Under other settings, and of another epoch: neither is what the others can be compared with.
        entries.append(entries[0] | {"strength": 1.0, "settings": {"requests": asked, "loss": 9}, "cells": []})
        entries.append(entries[0] | {"strength": 1.0, "epoch": 7, "metrics": {"image/fidelity": 9.0}, "cells": []})
        write_version(root, number, epochs=1, evaluations=entries)
    page = collect(Choice(root, lora="fuzzybear"))
    for version in page.versions:
        measure = version.metrics["evaluated image/fidelity"]
        assert (measure.value, measure.delta) == (1.0, 0.8) and version.metrics["image/fidelity"].value != 1.0
    drawn = [cell for cell in page.cells if cell.prompt == "a bear in snow"]
    found = {(cell.version, cell.epoch, cell.strength): cell for cell in drawn}
    assert {key for key in found if key[1]} == {
        ("fuzzybear/v1", 1, 0.5),
        ("fuzzybear/v1", 1, 1.0),
        ("fuzzybear/v2", 1, 1.0),
    }
    half = found["fuzzybear/v1", 1, 0.5]
    assert half.weights == "sha1" and half.changed == pytest.approx(50 / 255)
    assert half.scores == {"evaluated image/fidelity": 0.5} and half.file.exists()
    assert found["fuzzybear/v1", 0, 1.0].file == bare.path and found["fuzzybear/v1", 0, 1.0].weights is None


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
