"""`lorasweep compare` and `combine`, as their users type them: two themes on the toy base."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from lorasweep.commands.cli import main
from lorasweep.evaluation.candidates import find_candidates
from lorasweep.evaluation.cell_keys import requests_of
from lorasweep.evaluation.cells import distance
from lorasweep.evaluation.configs import config_of
from lorasweep.evaluation.drawing import Drawer
from lorasweep.evaluation.interference import interference
from lorasweep.evaluation.weights import modules_of, read
from lorasweep.export.weights import read_weights
from lorasweep.families.opened import OpenedBase
from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs.record import Record

from .conftest import MakeVersion


def test_versions_side_by_side(make_version: MakeVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = make_version()
    make_version(number=7, seed=2)
    root = ["--output-root", str(tmp_path), "--seeds", "0,1"]
    assert main(["compare", "v6", "v7", "--strengths", "0.5,1", "-o", str(tmp_path / "sheets"), *root]) == 0
    said = capsys.readouterr().out
    assert "against FuzzyBear v6" in said and re.search(r"against the base at +0.5 +1\n", said), said
    assert re.search(r"FuzzyBear v7 +[-+]0\.\d{4} \[.*\] +(same|better|worse)\n", said), said
    assert Image.open(tmp_path / "sheets" / "grid.png").size > (300, 300)
    assert (tmp_path / "sheets" / "strengths.png").exists()
    assert [each.strength for each in Record.read(record.folder).evaluations] == [0.5, 1.0]


def test_two_themes_together_and_as_one_file(
    make_version: MakeVersion, tmp_path: Path, toy_base: SDXL, capsys: pytest.CaptureFixture[str]
) -> None:
    record = make_version()
    make_version("robots", 6, seed=2)
    merged, root = tmp_path / "both.safetensors", ["--output-root", str(tmp_path)]
    command = ["combine", "fuzzybear/v6", "robots/v6", "--search", "0.5,1", "--merge", str(merged), *root]
    assert main(command) == 0
    said = capsys.readouterr().out
    best = next(line for line in said.splitlines() if "best by the theme" in line)
    assert said.count("together at") == 4 and "FuzzyBear v6 and Robots v6" in said
    assert (tmp_path / "comparisons" / "fuzzybear_v6-robots_v6-together.png").exists()

    pair = find_candidates(best.split(": ")[1].split(), tmp_path)
    config = config_of(record)
    drawer = Drawer.open(config, OpenedBase())
    files = [read(each.file, toy_base, config.base_model) for each in pair]  # type: ignore[arg-type]
    strengths = [each.strength or 0.0 for each in pair]
    together = drawer.draw(requests_of(config), list(zip(files, strengths, strict=True)))
    as_one = drawer.draw(requests_of(config), [(read(merged, toy_base, config.base_model), 1.0)])
    for one, two in zip(together, as_one, strict=True):
        assert one.distance is not None and one.distance > 0.01
        assert distance(one.image(), two.image()) < one.distance / 50, "it samples what the pair does"

    assert main([*command[:-3], str(merged), *root]) == 2 and "there is a file of that name" in capsys.readouterr().err
    assert main(["combine", "fuzzybear/v6", *root]) == 2 and "give two or more" in capsys.readouterr().err


def test_a_lower_rank_keeps_what_it_can(
    make_version: MakeVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version()
    helper = tmp_path / "helper.safetensors"
    helper.write_bytes((make_version(number=7, seed=2).folder / "FuzzyBear_v7.safetensors").read_bytes())
    merged = tmp_path / "low.safetensors"
    arguments = ["fuzzybear/v6", f"{helper}:0.5", "--merge", str(merged), "--rank", "2"]
    assert main(["combine", *arguments, "--output-root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "rank 2 lost" in said and "helper.safetensors" in said
    tensors, metadata = read_weights(merged)
    downs = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith("lora_down.weight")}
    assert downs == {2} and metadata["ss_network_dim"] == "2"


def test_interference_of_known_pairs(make_version: MakeVersion, toy_base: SDXL) -> None:
    first, second = make_version(), make_version(number=7, seed=2)
    config, modules = config_of(first), modules_of(toy_base)
    a, b = (read(r.folder / f"{r.stem}.safetensors", toy_base, config.base_model) for r in (first, second))
    same, other = interference(a, a, modules), interference(a, b, modules)  # type: ignore[arg-type]
    assert same.cosine == pytest.approx(1, abs=1e-4) and same.overlap == pytest.approx(1, abs=1e-3)
    assert abs(other.cosine) < 0.05 and other.overlap < 4 * other.expected, "random weights overlap by chance"
    assert same.alone == 0 and len(same.layers) == len(a.layers.tensors)  # type: ignore[union-attr]
    products = [torch.tensor(layer.norms).prod().item() for layer in other.layers]
    assert products == sorted(products, reverse=True)
