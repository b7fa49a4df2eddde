"""A training that leaves the numbers is told what leads out of it, and each of these ways does."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from lorasweep.compose.composition import load_config
from lorasweep.errors import UserError
from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs.record import Epoch, Record, TrialRecord
from lorasweep.schema import Config
from lorasweep.training.reporting.diverged import diverged

from ...training_on import run


@pytest.mark.parametrize(("every", "told"), [(3, "step 2: .* not taken"), (1, "not written after step 1: .* diverged")])
def test_the_way_on_of_a_training_that_diverged_leads_out(
    every: int, told: str, tmp_path: Path, toy_base: SDXL, composed_configs: None
) -> None:
    """A rate of 1e17 gives weights within 32 bit and beyond the 16 of a file, and the second step no numbers."""
    line = ["training.max_steps=3", "training.batch_size=8", "dataset.repeats=1", "training.max_grad_norm=0"]
    line += ["evaluation=none", "sampling.every_epochs=0", "tracker=none", f"output_root={tmp_path}"]
    line += ["optimizer.lr=1e17", f"training.save_every_epochs={every}"]
    with pytest.raises(UserError, match=rf"{told}[\s\S]*no file was saved yet") as caught:
        run(load_config(line), overrides=line, base=toy_base)
    assert list(caught.value.ways) == ["begin anew, slower"]
    for command in caught.value.ways.values():
        again = shlex.split(command)[2:]
        config = load_config(again)
        assert config.optimizer.lr == pytest.approx(config.base_model.lora_lr)
        run(config, overrides=again, base=toy_base)
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("fuzzybear/v*/record.json"))]
    assert [record["status"] for record in records] == ["failed", "complete"]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A version with two saved epochs."""
    epochs = [Epoch(epoch, step=epoch, file=f"{epoch}.safetensors") for epoch in (1, 2)]
    return Record(tmp_path, "FuzzyBear", 6, overrides=["seed=7"], epochs=epochs)


def told(config: Config, record: Record, step: int, precision: str = "no") -> UserError:
    version = SimpleNamespace(config=config, step=step, accelerator=SimpleNamespace(mixed_precision=precision))
    return diverged("step 3: loss nan", version, record)  # type: ignore[arg-type]


def test_the_last_file_leads_on(tmp_path: Path, short_config: Config, record: Record, composed_configs: None) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(4, 4)}, tmp_path / "2.safetensors")
    short_config.base_model.lora_lr = 1.0
    ways = told(short_config, record, 2).ways
    config = load_config(shlex.split(ways["go on from its last good file, slower"])[2:])
    assert config.network.start_from == str(tmp_path / "2.safetensors") and config.seed == 7
    assert config.optimizer.lr == pytest.approx(short_config.optimizer.lr / 3, rel=1e-5)
    assert config.optimizer.text_encoder_lr == pytest.approx(short_config.optimizer.text_encoder_lr / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("step", "precision", "ways"),
    [
        (0, "no", []),
        (0, "bf16", ["in full precision"]),
        (5, "bf16", ["begin anew, slower"]),
        (5, "fp16", ["begin anew, slower", "in full precision"]),
    ],
)
def test_only_what_can_have_been_the_reason_is_changed(
    step: int, precision: str, ways: list[str], tmp_path: Path, short_config: Config, record: Record
) -> None:
    record.epochs = []
    assert list(told(short_config, record, step, precision).ways) == ways
    record.trial = TrialRecord("s", 3)
    assert not told(short_config, record, step, precision).ways, "the search decides for its trials"
