"""The point of it all: on the toy base, a LoRA learns its theme, by figures that mean something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorasweep.compose.composition import composing, load_config
from lorasweep.families.sdxl.model import SDXL

from ..training_on import run


def test_the_demo_learns_the_bear(tmp_path: Path, toy_base: SDXL) -> None:
    with composing():
        config = load_config(["lora=fuzzybear", "preset=demo", "tracker=none", f"output_root={tmp_path}"])
    value = run(config, base=toy_base)
    record = json.loads((tmp_path / "fuzzybear" / "v6" / "record.json").read_text())
    base, selected = record["metrics"]["base"], record["metrics"]["selected"]
    assert record["epochs"][-1]["step"] == 300
    # Measured: see docs/toy.md. The margins leave room for another machine's rounding, not for a broken step.
    assert value == pytest.approx(selected["val/loss_ratio"])
    assert selected["val/loss_ratio"] < 0.65  # 0.487 was measured
    assert selected["image/fidelity"] > base["image/fidelity"] + 0.08  # from 0.37 to 0.52 was measured
    assert record["seconds"]["train"] > 0 and record["seconds"]["sample"] > 0
