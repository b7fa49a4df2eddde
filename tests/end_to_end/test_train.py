"""train.py as its user runs it: one short run, and everything that the user can see of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors import safe_open

from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.shipped import BASE_PATH
from lorasweep.randomness import generator

from ..warm import Warm

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(sys.executable).parent
SHORT = ["dataset.repeats=3", "training.epochs=2", "optimizer.lr=1e-3", "sampling.steps=6", "network.alpha=3"]


def train(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run train.py; its exit code must be `code`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    command = [sys.executable, "train.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def output(root: Path) -> str:
    """What one short run of the documented command prints."""
    return train("lora=fuzzybear", "network.rank=8", f"output_root={root}", *SHORT).stdout


@pytest.fixture(scope="module")
def folder(root: Path, output: str) -> Path:
    return root / "fuzzybear" / "v6"


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


def test_the_plan_is_told_before_and_the_files_after(output: str, folder: Path) -> None:
    plan = output.index("8 images x 3 repeats = 24 draws an epoch")
    assert plan < output.index("epoch 1/2") < output.index("epoch 2/2") < output.index("complete")
    assert "/ batch 2 = 12 steps; x 2 epochs = 24 steps" in output
    for name in ("FuzzyBear_v6.safetensors", "samples/before_after.png", "samples/grid.png", "curves.png"):
        assert str(folder / name) in output
        assert (folder / name).exists()


def test_the_folder_says_exactly_what_it_is(folder: Path, record: dict[str, Any]) -> None:
    assert record["status"] == "complete" and record["recipe"] == "fuzzybear"
    assert record["config"]["network"]["rank"] == 8 and record["config"]["network"]["alpha"] == 3
    assert "network.rank=8" in record["overrides"]
    assert record["base"]["family"] == "sdxl" and len(record["base"]["sha256"]) == 64
    assert record["dataset"]["images"] == 8 and len(record["dataset"]["sha256"]) == 64
    assert record["environment"]["torch"] == torch.__version__
    assert record["trial"] is None
    assert record["objective"]["name"] == "val/loss_ratio" and record["objective"]["direction"] == "minimize"
    assert 0 < record["objective"]["value"] < 1
    for entry in record["epochs"]:
        assert {"val/loss_ratio", "val/loss_ratio_bin_0", "image/fidelity", "image/adherence"} <= set(entry["metrics"])
    saved = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert OmegaConf.to_container(saved) == record["config"]
    assert OmegaConf.load(folder / ".hydra" / "overrides.yaml")[1] == "network.rank=8"
    samples = [path.name for path in sorted((folder / "samples").glob("0*.png"))]
    assert samples == [f"{epoch:06d}_{index:02d}.png" for epoch in (0, 1, 2) for index in range(6)]


def test_wandb_offline_holds_config_metrics_images_and_the_artifact(folder: Path, record: dict[str, Any]) -> None:
    (run,) = (folder / "wandb").glob("offline-run-*")

    def inspect(*options: str) -> str:
        command = [str(BINARIES / "wandb"), "leet", "inspect", *options, "--json", str(run)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    summary = json.loads(inspect("--summary"))
    assert summary["config"]["network"]["rank"] == 8
    assert summary["summary"]["val/loss_ratio"] == pytest.approx(
        record["epochs"][record["selected_epoch"] - 1]["metrics"]["val/loss_ratio"]
    )
    text = inspect()
    for word in (
        "train/loss",
        "image/fidelity",
        "time/",
        "samples/0",
        "v6",
        "latest",
        "best",
        "FuzzyBear v6",
    ):
        assert word in text, word
    assert list(run.glob("files/media/images/samples/*.png"))


def test_tensorboard_holds_scalars_and_images(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert "val/loss_ratio" in events.Tags()["scalars"] and "train/lr_unet" in events.Tags()["scalars"]
    assert any(name.startswith("samples/0") for name in events.Tags()["images"])


def test_diffusers_loads_the_file_and_samples_the_same_images(folder: Path, toy_base: SDXL) -> None:
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(BASE_PATH, dtype=torch.float32, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(folder / "FuzzyBear_v6-000002.safetensors")
    record = json.loads((folder / "record.json").read_text())
    config = record["config"]
    ours_theirs, ours_before = [], []
    seeds = config["sampling"]["seeds"]
    for index, prompt in zip(range(0, 99, len(seeds)), config["sampling"]["prompts"], strict=False):
        latents = torch.randn((1, 4, 16, 16), generator=generator(seeds[0], "sample"))
        ours = np.asarray(Image.open(folder / "samples" / f"000002_{index:02d}.png"), dtype=np.float32)
        theirs = pipeline(
            prompt.replace("{trigger}", config["dataset"]["trigger"]),
            negative_prompt="",
            latents=latents,
            num_inference_steps=6,
            guidance_scale=config["sampling"]["guidance"],
        ).images[0]
        before = np.asarray(Image.open(folder / "samples" / f"000000_{index:02d}.png"), dtype=np.float32)
        ours_theirs.append(np.abs(ours - np.asarray(theirs, dtype=np.float32)).mean())
        ours_before.append(np.abs(ours - before).mean())
    # The file holds fp16, the trainer fp32: hundredths of a grey level, against most of one from so short a training.
    assert max(ours_theirs) < 0.1, ours_theirs
    assert max(ours_before) > 0.5, ours_before


def test_the_file_alone_says_how_to_train_it_again(
    folder: Path, record: dict[str, Any], tmp_path: Path, warm: Warm
) -> None:
    file = folder / "FuzzyBear_v6.safetensors"
    with safe_open(file, "pt") as stream:
        about = stream.metadata()
    assert about["ss_network_dim"] == "8" and about["ss_network_alpha"] in ("3.0", "3")
    assert about["ss_output_name"] == about["modelspec.title"] == file.stem  # what prompts will name, <lora:...:1>
    assert about["lorasweep.dataset_sha256"] == record["dataset"]["sha256"]
    assert about["modelspec.architecture"] == "lorasweep-toy/lora"  # nothing that a user interface takes for SDXL
    recipe = tmp_path / "again.yaml"
    assert warm.run(["lorasweep", "recipe", str(file), "-o", str(recipe)], ROOT).returncode == 0
    written = OmegaConf.load(recipe)
    assert written.network.rank == 8 and written.network.alpha == 3
    assert written.training.epochs == 2 and written.dataset.repeats == 3


def test_versions_lists_it(folder: Path, root: Path, warm: Warm) -> None:
    done = warm.run(["lorasweep", "versions", "fuzzybear", "--output-root", str(root)], ROOT)
    assert "v6" in done.stdout and "complete" in done.stdout


def test_ctrl_c_prints_the_command_that_continues(tmp_path: Path, warm: Warm) -> None:
    command = [
        "python",
        "train.py",
        f"output_root={tmp_path}",
        "sampling.every_epochs=0",
        "tracker=none",
        "dataset.repeats=1",
        "training.max_steps=60",
    ]
    process = warm.start(command, ROOT)
    metrics = tmp_path / "fuzzybear" / "v6" / "metrics.jsonl"
    deadline = time.time() + 120
    while time.time() < deadline and not (metrics.exists() and '"train/loss"' in metrics.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    done = process.wait()
    output = done.stdout
    assert done.returncode == 130
    record = json.loads((metrics.parent / "record.json").read_text())
    assert record["status"] == "interrupted"
    (resume,) = [line for line in output.splitlines() if "resume=v6" in line]
    arguments = resume[resume.index("train.py") + len("train.py") :].split()
    step = int(record["reason"].split("step ")[1])
    done = warm.run(["python", "train.py", *arguments], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resumed after step {step} of 60" in done.stdout
    assert json.loads((metrics.parent / "record.json").read_text())["status"] == "complete"


def test_a_recipe_of_ones_own_is_resumed_by_the_line_that_is_printed(tmp_path: Path, warm: Warm) -> None:
    own = tmp_path / "my conf" / "lora" / "sage.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "# @package _global_\ndefaults: [/lora/fuzzybear, _self_]\nname: Sage\n"
        "training: {max_steps: 40, epochs: 1}\nsampling: {every_epochs: 0}\n"
    )
    line = ["--config-dir", "my conf", "lora=sage", "tracker=none", "features=none", "evaluation.max_images=2"]
    command = ["python", str(ROOT / "train.py"), *line]
    done = warm.run(command, tmp_path, interrupted_at="outputs/sage/v1/record.json")
    assert done.returncode == 130, done.stdout + done.stderr
    (resume,) = [text for text in done.stdout.splitlines() if "resume=v1" in text]
    done = warm.run(["python", *shlex.split(resume[resume.index("python ") :])[1:]], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "outputs" / "sage" / "v1" / "record.json").read_text())
    assert record["status"] == "complete" and record["name"] == "Sage"


def test_a_grid_gives_one_version_each(tmp_path: Path, warm: Warm) -> None:
    few = ["training.max_steps=2", "sampling.every_epochs=0", "tracker=none", "evaluation.timesteps=4"]
    line = ["-m", "network.rank=4,8", "lora=food/v8", f"output_root={tmp_path}", *few]
    done = warm.run(["python", "train.py", *line], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    ranks = {}
    for number in (10, 11):
        found = json.loads((tmp_path / "food" / f"v{number}" / "record.json").read_text())
        assert found["status"] == "complete"
        ranks[number] = found["config"]["network"]["rank"]
    assert sorted(ranks.values()) == [4, 8]


def test_a_wrong_config_is_told_at_once_without_a_traceback(tmp_path: Path) -> None:
    started = time.time()
    done = train("network.rnak=8", "optimizer.lr=-1", "lora=fuzybear", f"output_root={tmp_path}", code=2)
    assert time.time() - started < 10, "a hang; the two-second goal is measured in benchmarks/startup.py"
    for word in ("network.rank", "optimizer.lr", "fuzzybear"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
