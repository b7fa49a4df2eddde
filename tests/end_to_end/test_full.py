"""A full fine-tune as a user runs it, and the whole chain: base, fine-tune, LoRA on the fine-tuned file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lorasweep.data.providers import write_set
from lorasweep.families.load import load_base
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import BaseModelConfig

from ..warm import Warm

ROOT = Path(__file__).parents[2]
FAST = ["sampling.every_epochs=0", "tracker=none", "evaluation.timesteps=4", "evaluation.max_images=2",
        "features=none"]  # fmt: skip


def command(root: Path, *overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), f"output_root={root}", *FAST, *overrides]


@pytest.fixture(scope="module")
def train(warm: Warm) -> Callable[..., None]:
    """Runs train.py with an output_root and overrides; it must end well."""

    def train(root: Path, *overrides: str) -> None:
        done = warm.run(["python", *command(root, *overrides)[1:]], ROOT)
        assert done.returncode == 0, done.stdout + done.stderr

    return train


def humanoids(root: Path) -> list[str]:
    """The fine-tune's recipe with few images of its own, both of UNet and second text encoder trained."""
    images, heldout = root / "images", root / "heldout"
    write_set("humanoid", images, size=(64, 64), count=6)
    write_set("humanoid", heldout, size=(64, 64), count=2, start=1486)
    return ["lora=humanoid", "network=full", f"dataset.path={images}", f"dataset.validation_path={heldout}",
            "optimizer=adamw", "optimizer.lr=1e-4", "optimizer.text_encoder_2_lr=1e-5", "training.batch_size=2",
            "training.epochs=2", "training.state_every_steps=1"]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def tuned(root: Path, train: Callable[..., None]) -> Path:
    train(root, *humanoids(root))
    return root / "humanoid" / "v8"


def test_the_checkpoint_is_a_whole_sdxl_in_half_precision(tuned: Path) -> None:
    file = tuned / "Humanoid_v8.safetensors"
    with safe_open(file, "pt") as stream:
        metadata, names = stream.metadata(), set(stream.keys())
        assert {stream.get_slice(name).get_dtype() for name in names} == {"F16"}
    assert metadata["modelspec.architecture"] == "lorasweep-toy"
    assert not any(key.startswith("ss_network") for key in metadata)
    prefixes = ("model.diffusion_model.", "first_stage_model.", "conditioner.embedders.0.", "conditioner.embedders.1.")
    assert all(any(name.startswith(prefix) for name in names) for prefix in prefixes)


def test_what_has_a_rate_was_trained_and_the_rest_was_not(tuned: Path) -> None:
    before, after = (
        load_base(BaseModelConfig(), "cpu", torch.float32),
        load_base(
            BaseModelConfig(path=str(tuned / "Humanoid_v8.safetensors"), config_path=str(BASE_PATH)),
            "cpu",
            torch.float32,
        ),
    )
    moved = {
        part: max(
            float((value - other).abs().max())
            for value, other in zip(before.modules[part].parameters(), after.modules[part].parameters(), strict=True)
        )
        for part in before.modules
    }
    assert moved["unet"] > 1e-4 and moved["text_encoder_2"] > 1e-6
    assert moved["vae"] == 0 and moved["text_encoder"] == 0


def test_the_diffusers_folder_holds_the_same_weights(tuned: Path) -> None:
    folder = load_base(BaseModelConfig(path=str(tuned / "Humanoid_v8_diffusers")), "cpu", torch.float32)
    single = BaseModelConfig(path=str(tuned / "Humanoid_v8.safetensors"), config_path=str(BASE_PATH))
    file = load_base(single, "cpu", torch.float32)
    for part, module in folder.modules.items():
        for value, other in zip(module.parameters(), file.modules[part].parameters(), strict=True):
            assert torch.equal(value, other), part


def test_a_lora_is_trained_on_the_fine_tuned_file(root: Path, tuned: Path, train: Callable[..., None]) -> None:
    file = tuned / "Humanoid_v8.safetensors"
    chain = ["base_model=toy", f"base_model.path={file}", f"base_model.config_path={BASE_PATH}"]
    train(root, "lora=fuzzybear", "training.max_steps=2", *chain)
    record: dict[str, Any] = json.loads((root / "fuzzybear" / "v6" / "record.json").read_text())
    assert record["status"] == "complete" and record["base"]["path"] == str(file)
    with safe_open(root / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors", "pt") as stream:
        assert stream.metadata()["ss_sd_model_name"] == file.name


def test_killed_and_resumed_it_ends_in_the_same_bits(
    root: Path, tuned: Path, tmp_path: Path, train: Callable[..., None]
) -> None:
    line = command(tmp_path, *humanoids(root))
    process = subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    state = tmp_path / "humanoid" / "v8" / "state"
    while process.poll() is None and not list(state.glob("step-0000000[2-5].safetensors")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(state.glob("step-*.safetensors")), "it was killed in the middle"
    train(tmp_path, "lora=humanoid", "resume=v8")
    files = [folder / "Humanoid_v8-000002.safetensors" for folder in (tuned, tmp_path / "humanoid" / "v8")]
    left, right = map(load_file, files)
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_text_encoder_can_be_trained_alone(root: Path, tmp_path: Path, train: Callable[..., None]) -> None:
    train(tmp_path, "lora=fuzzybear", "training.max_steps=2", "optimizer.lr=0", "optimizer.text_encoder_lr=1e-3")
    names = set(load_file(tmp_path / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors"))
    assert names and {name.split("_")[1] for name in names} == {"te1", "te2"}
