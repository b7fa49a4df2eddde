"""The verbs of `lorasweep`."""

from pathlib import Path

import pytest
from PIL import Image

from lorasweep import files
from lorasweep.cli import main
from lorasweep.compose import CONF
from lorasweep.reference import markdown


def test_versions_are_listed_with_what_they_reached(tmp_path, capsys):
    for number, value, epoch in ((6, 0.1234, 8), (10, None, None)):
        record = {
            "name": "FuzzyBear",
            "version": number,
            "recipe": "fuzzybear",
            "status": "complete" if value else "running",
            "objective": {"name": "val/loss_ratio", "value": value, "direction": "minimize"},
            "selected_epoch": epoch,
        }
        files.write_json(tmp_path / "fuzzybear" / f"v{number}" / "record.json", record)
    assert main(["versions", "FuzzyBear", "--output-root", str(tmp_path)]) == 0
    head, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["name", "version", "status", "recipe", "epoch", "objective", "value", "folder"]
    folder = str(tmp_path / "fuzzybear")
    assert first == ["FuzzyBear", "v6", "complete", "fuzzybear", "8", "val/loss_ratio", "0.1234", f"{folder}/v6"]
    assert second == ["FuzzyBear", "v10", "running", "fuzzybear", "val/loss_ratio", f"{folder}/v10"]


def test_no_versions_is_said_plainly(tmp_path, capsys):
    assert main(["versions", "--output-root", str(tmp_path)]) == 2
    assert "holds no version" in capsys.readouterr().err


def test_themes_are_drawn_at_the_size_asked_for(tmp_path, capsys):
    assert main(["themes", str(tmp_path), "--resolution", "96", "--theme", "fuzzybear"]) == 0
    images = sorted((tmp_path / "fuzzybear").glob("*.png"))
    assert len(images) == 8 and {Image.open(image).size for image in images} == {(96, 96)}
    captions = [image.with_suffix(".txt").read_text() for image in images]
    assert all(caption.startswith("fortnite_fuzzy_bear_character, nice_hands, ") for caption in captions)
    assert capsys.readouterr().out == f"fuzzybear: 8 images in {tmp_path / 'fuzzybear'}\n"
    assert main(["themes", str(tmp_path), "--resolution", "4"]) == 2


def test_reference_writes_the_page(tmp_path):
    page = tmp_path / "reference.md"
    assert main(["reference", "-o", str(page)]) == 0
    assert page.read_text() == markdown(CONF)


def test_recipe_prints_or_writes_and_says_what_is_wrong_with_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lorasweep.export.recipe.recipe_from_file", lambda path: f"# from {path.name}\n")
    assert main(["recipe", "a.safetensors"]) == 0
    assert capsys.readouterr().out == "# from a.safetensors\n"
    out = tmp_path / "recipe.yaml"
    assert main(["recipe", "a.safetensors", "-o", str(out)]) == 0
    assert out.read_text() == "# from a.safetensors\n"
    monkeypatch.undo()
    missing = Path(tmp_path / "missing.safetensors")
    capsys.readouterr()
    assert main(["recipe", str(missing)]) == 2
    assert "missing.safetensors" in capsys.readouterr().err


def test_a_verb_is_required():
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
