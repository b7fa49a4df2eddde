"""A second family, selected by the config: it trains, resumes, samples, exports, is searched; src knows none of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_flow import FAMILY, model

from lorasweep.compose.composition import composing, load_config
from lorasweep.errors import UserError
from lorasweep.schema import BaseModelConfig
from lorasweep.search.storage import open_storage
from lorasweep.training.memory.estimate import estimate

from ..training_on import run
from ..warm import Warm

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of random weights, and six pictures of 32 x 32."""
    folder = tmp_path_factory.mktemp("tiny")
    model.make(folder / "base")
    (folder / "photos").mkdir()
    for number in range(6):
        colour = (40 * number, 255 - 40 * number, 128)
        Image.new("RGB", (32, 32), colour).save(folder / "photos" / f"{number}.png")
        (folder / "photos" / f"{number}.txt").write_text(f"sage, number {number}")
    return folder


def line_of(world: Path, root: Path, *more: str) -> list[str]:
    return [
        "lora=custom",
        "name=Sage",
        f"dataset.path={world / 'photos'}",
        "dataset.trigger=sage",
        "dataset.resolution=32",
        "dataset.buckets=false",
        "dataset.holdout=0.34",
        "dataset.max_tokens=19",
        "base_model.family=tiny_flow:FAMILY",
        "allow_code=[tiny_flow]",
        f"base_model.path={world / 'base'}",
        "base_model.resolution=32",
        "optimizer=adamw",
        "optimizer.lr=1e-3",
        "training.batch_size=2",
        "training.max_steps=6",
        "sampling.prompts=['{trigger}, number 3']",
        "sampling.steps=2",
        "features=none",
        "evaluation.timesteps=2",
        "evaluation.bins=2",
        "tracker=none",
        f"output_root={root}",
        *more,
    ]


def trained(world: Path, root: Path, *more: str) -> Path:
    """Train a version and return its folder."""
    line = line_of(world, root, *more)
    with composing():
        run(load_config(line), overrides=line)
    return max((root / "sage").glob("v*"))


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


@pytest.fixture(scope="module")
def version(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(world, tmp_path_factory.mktemp("outputs"), "optimizer.text_encoder_lr=1e-3")


def test_it_is_selected_by_the_config_alone() -> None:
    names = subprocess.run(
        ["grep", "-rliE", "tiny.?flow", str(ROOT / "src"), str(ROOT / "conf")], capture_output=True, text=True
    )
    assert names.stdout == ""


def test_it_trains_and_is_measured(version: Path) -> None:
    record = record_of(version)
    assert record["status"] == "complete" and record["base"]["family"] == "tiny_flow:FAMILY"
    measured = record["epochs"][-1]["metrics"]
    assert 0 < measured["val/loss_ratio"] != 1 and measured["train/loss"] > 0
    rows = [json.loads(row) for row in (version / "metrics.jsonl").read_text().splitlines()]
    assert any("train/lr_letters" in row for row in rows) and any("train/lr_transformer" in row for row in rows)


def test_it_samples(version: Path) -> None:
    pictures = [Image.open(path) for path in sorted((version / "samples").glob("0*_00.png"))]
    assert len(pictures) >= 2 and {picture.size for picture in pictures} == {(32, 32)}
    assert len({picture.tobytes() for picture in pictures}) > 1, "the adapter changes them"


def test_its_file_has_its_own_names_and_is_read_back(version: Path, world: Path, tmp_path: Path) -> None:
    (file,) = version.glob("Sage_v?.safetensors")
    tensors = tensors_of(file)
    names = {name.rpartition(".lora_")[0] or name.removesuffix(".alpha") for name in tensors}
    assert "tiny.transformer.blocks.1.cross.to_v" in names and "tiny.letters.blocks.0.attn.to_q" in names
    assert all(name.startswith("tiny.") for name in names)
    frozen = ("optimizer.lr=1e-12", "optimizer.text_encoder_lr=1e-12", "training.max_steps=1")
    again = trained(world, tmp_path, f"network.start_from={file}", *frozen)
    (copied,) = again.glob("Sage_v?.safetensors")
    copies = tensors_of(copied)
    assert copies.keys() == tensors.keys()
    assert all(torch.equal(copies[name], tensors[name]) for name in tensors)


def test_a_resumed_training_ends_with_the_same_bits(world: Path, tmp_path: Path) -> None:
    steady = ("scheduler=constant", "training.keep_state=true")  # another length stretches any other schedule
    whole = trained(world, tmp_path / "whole", *steady)
    trained(world, tmp_path / "parts", *steady, "training.max_steps=3")
    longer = trained(world, tmp_path / "parts", *steady, "resume=latest")
    states = [tensors_of(next((folder / "state").glob("*.safetensors"))) for folder in (whole, longer)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_a_flow_lacks_is_refused_with_the_reason(world: Path, tmp_path: Path) -> None:
    with composing(), pytest.raises(UserError, match="a rectified flow predicts the direction") as caught:
        load_config(line_of(world, tmp_path, "loss.min_snr_gamma=5"))
    assert "set loss.min_snr_gamma=null" in str(caught.value)


def test_it_is_trained_whole(world: Path, tmp_path: Path) -> None:
    folder = trained(world, tmp_path, "network=full", "training.max_steps=1", "training.diffusers_folder=true")
    (file,) = folder.glob("Sage_v?.safetensors")
    before = load_file(world / "base" / model.FILE)
    after = tensors_of(file)
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(after[name], before[name].half())}
    assert "transformer.patches.weight" in changed
    base = model.load(FAMILY, BaseModelConfig(path=str(next(folder.glob("*_diffusers")))), "cpu", torch.float32)
    assert torch.equal(base.modules["transformer"].patches.bias, after["transformer.patches.bias"].float())


def test_its_memory_is_forecast(world: Path, tmp_path: Path) -> None:
    with composing():
        config = load_config(line_of(world, tmp_path))
    base = model.load(FAMILY, config.base_model, "cpu", torch.float32)
    counted = sum(weight.numel() for module in base.modules.values() for weight in module.parameters())
    found = estimate(config, base)
    assert found.weights == 4 * counted and found.activations > 0 and found.trained > 0


def test_it_is_searched(world: Path, tmp_path: Path, warm: Warm) -> None:
    line = line_of(world, tmp_path / "outputs", "training.max_steps=2")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "optimizer.lr=tag(log,interval(1e-4,1e-2))"]
    fixed = [part for part in line if "optimizer.lr" not in part]
    done = warm.run(
        ["python", str(ROOT / "train.py"), "-m", *search, *fixed, "hydra.sweeper.plots=false"],
        tmp_path,
        {"PYTHONPATH": str(HERE)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    storage = open_storage(f"{tmp_path}/outputs/studies/sage/journal.log")
    trials = optuna.load_study(study_name="sage", storage=storage).trials
    assert [trial.state for trial in trials] == [optuna.trial.TrialState.COMPLETE] * 2
    assert all(record_of(folder)["status"] == "complete" for folder in (tmp_path / "outputs" / "sage").glob("v*"))
