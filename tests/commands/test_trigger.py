"""`lorasweep trigger` as its user runs it, on the toy base with a LoRA of two layers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lorasweep.commands import cli
from lorasweep.compose.composition import composing, load_config
from lorasweep.evaluation.weights import modules_of
from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs.record import Record

CHEAP = [
    "--set",
    "sampling.steps=1",
    "--set",
    "sampling.prompts=['{trigger}, snow, red hat', 'a humanoid']",
    "--seeds",
    "3",
]


@pytest.fixture(scope="module")
def folder(toy_base: SDXL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FuzzyBear v6 in outputs/, whose weights add noise to two layers, and the same file beside it."""
    folder = tmp_path_factory.mktemp("trigger")
    with composing():
        config = load_config(["lora=fuzzybear", f"output_root={folder / 'outputs'}", "tracker=none"])
    version = folder / "outputs" / "fuzzybear" / "v6"
    version.mkdir(parents=True)
    record = Record(folder=version, name="FuzzyBear", version=6, recipe="fuzzybear", status="complete")
    record.config, record.overrides, record.selected_epoch = asdict(config), ["lora=fuzzybear"], 1
    record.write()
    tensors = {}
    layers = [name for name, module in modules_of(toy_base).items() if name.endswith("attn2.to_v")][:2]
    for layer in layers:
        shape, name = modules_of(toy_base)[layer].weight.shape, toy_base.naming.in_file(layer)
        draws = torch.Generator().manual_seed(0)
        tensors[f"{name}.lora_down.weight"] = torch.randn(2, shape[1], generator=draws)
        tensors[f"{name}.lora_up.weight"] = torch.randn(shape[0], 2, generator=draws)
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    for path in (version / "FuzzyBear_v6.safetensors", folder / "other.safetensors"):
        save_file(tensors, path, {"ss_base_model_version": "sdxl_base_v1-0"})
    yield folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def run(*line: str, code: int = 0) -> None:
    assert cli.main(["trigger", *line]) == code


def test_a_version_is_looked_at_once_and_its_record_keeps_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = here / "outputs" / "fuzzybear" / "v6"
    run("v6", "--class-word", "humanoid", *CHEAP)
    out = capsys.readouterr().out
    assert "FuzzyBear v6: the trigger fortnite_fuzzy_bear_character\n" in out and "held-out images" in out
    for position in (
        "at the start",
        "alone",
        "absent",
        "in the middle",
        "at the end",
        "misspelt",
        "as plain words",
        "class",
    ):
        assert position in out
    assert "inconclusive: 1 prompt with 1 seed each are too few" in out
    [picture] = (record / "trigger").glob("*.png")
    with Image.open(picture) as image:
        assert image.width > 400 and f"wrote {picture.relative_to(here)}" in out.replace(f"{here}/", "")
    [analysis] = Record.read(record).triggers
    texts = {position: found[0]["prompt"]["text"] for position, found in analysis.settings["requests"].items()}
    assert texts["middle"] == "snow, fortnite_fuzzy_bear_character, red hat"
    assert texts["class"] == "humanoid, snow, red hat" and texts["absent"] == "snow, red hat"
    before = picture.stat().st_mtime_ns
    run("v6", "--class-word", "humanoid", *CHEAP, "--json")
    found = json.loads(capsys.readouterr().out)
    assert not found["measured_now"] and found["grid"].endswith(picture.name)
    assert [each["position"] for each in found["figures"]] == [each.position for each in analysis.figures]
    assert all(Path(cell).is_file() for each in found["figures"] for cell in each["cells"] + each["base_cells"])
    assert picture.stat().st_mtime_ns == before
    run("v6", "--class-word", "humanoid", *CHEAP, "--strengths", "0.5", "--json")
    found = json.loads(capsys.readouterr().out)
    assert {each["strength"] for each in found["figures"]} == {0.5, 1.0}, "1 is what shares are of"
    assert len(Record.read(record).triggers) == 2 and len(list((record / "trigger").glob("*.png"))) == 2


def test_what_cannot_be_looked_at_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = ["--set", "base_model=toy"]
    for line, said in {
        ("v9",): "v9: there is no such version; outputs has fuzzybear/v6",
        ("other.safetensors", *toy): "lorasweep trigger other.safetensors --trigger WORD",
        ("v6", "--set", "features.models=[]"): "--features clip_l or toy",
        ("other.safetensors", "--trigger", "bear", "--features", "toy", *toy): "--set dataset.path=FOLDER",
    }.items():
        run(*line, code=2)
        assert said in capsys.readouterr().err, line
