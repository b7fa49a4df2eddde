"""Two processes on one version, started as a user would, on CPUs (gloo)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ..warm import Warm

ROOT = Path(__file__).parents[2]
RUN = ["lora=fuzzybear", "optimizer=adamw", "scheduler=constant", "training.batch_size=3",
       "training.gradient_accumulation=2",
       "training.max_steps=6", "dataset.repeats=2", "network.rank=2", "network.alpha=1",
       "training.ema_decay=0.9", "evaluation.timesteps=4", "evaluation.max_images=2", "features=none",
       "sampling.every_epochs=0", "tracker=none", "tracker.every_steps=1"]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Train with two processes as documented."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2",
                "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no",
                f"--main_process_port={free_port()}"]  # fmt: skip
    command = [*launcher, str(ROOT / "train.py"), f"output_root={folder}", *RUN, *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_CONFIG_FILE": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def train(
    warm: Warm, folder: Path, *overrides: str, processes: int, program: Path = ROOT / "train.py", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Train with so many processes, in the environment that a launcher gives each; return what all of them printed."""
    command = ["python", str(program), f"output_root={folder}", *RUN, *overrides]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    environments = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    children = [warm.start(command, ROOT, (one if processes > 1 else {}) | variables) for one in environments]
    ended = [child.wait() for child in children]
    stdout, stderr = ("".join(getattr(one, name) for one in ended) for name in ("stdout", "stderr"))
    code = next((one.returncode for one in ended if one.returncode), 0)
    return subprocess.CompletedProcess(command, code, stdout, stderr)


def rows(version: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (version / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, warm: Warm
) -> dict[int, tuple[Path, subprocess.CompletedProcess[str]]]:
    """The same version by one process and by two."""
    alone, together = (tmp_path_factory.mktemp(name) for name in ("alone", "together"))
    done = {
        1: (alone / "fuzzybear" / "v6", train(warm, alone, processes=1)),
        2: (together / "fuzzybear" / "v6", launch(together)),
    }
    assert all(process.returncode == 0 for _, process in done.values()), done[1][1].stderr + done[2][1].stderr
    return done


def test_two_processes_train_what_one_trains(runs: dict[int, Any]) -> None:
    (alone, _), (together, _) = runs[1], runs[2]
    losses = [[row["train/loss"] for row in rows(version) if "train/loss" in row] for version in (alone, together)]
    assert len(losses[0]) == 6 and losses[1] == pytest.approx(losses[0], rel=1e-5)
    weights = [load_file(version / "FuzzyBear_v6.safetensors") for version in (alone, together)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        # Adam's first steps turn the rounding of a gradient near zero into a difference of up to a step.
        assert torch.allclose(tensor.float(), weights[1][name].float(), rtol=2e-3, atol=2e-6), name


def test_steps_and_epochs_are_counted_once_and_one_process_writes(runs: dict[int, Any]) -> None:
    version, done = runs[2]
    alone, together = (json.loads((runs[n][0] / "record.json").read_text()) for n in (1, 2))
    epochs = [[(entry["epoch"], entry["step"]) for entry in record["epochs"]] for record in (alone, together)]
    assert epochs[0] == epochs[1]
    assert together["status"] == "complete"
    assert [path.name for path in version.parent.iterdir() if path.name.startswith("v")] == ["v6"]
    assert done.stdout.count("FuzzyBear v6  complete") == 1
    steps = [row["step"] for row in rows(version) if "train/loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_two_processes_go_on_where_one_stopped(runs: dict[int, Any], tmp_path: Path, warm: Warm) -> None:
    program = tmp_path / "interrupted.py"
    # Once: a step has two batches, and a second Ctrl-C stops without a state.
    ctrl_c = "hasattr(self, 'stopped') or (setattr(self, 'stopped', True), os.kill(os.getpid(), 2))"
    program.write_text(FAULTY.replace("{}", ctrl_c))
    begun = train(warm, tmp_path, processes=1, program=program, FAULTY="0")
    assert begun.returncode == 130, begun.stderr
    done = train(warm, tmp_path, "resume=v6", processes=2)
    assert done.returncode == 0, done.stderr
    assert "resumed after step 4 of 6" in done.stdout
    assert done.stdout.count("on the toy base") == 1, "of two processes, one tells"
    straight, resumed = (
        [row["train/loss"] for row in rows(version) if "train/loss" in row]
        for version in (runs[1][0], tmp_path / "fuzzybear" / "v6")
    )
    assert resumed == pytest.approx(straight, rel=1e-5)


FAULTY = f"""
import os, runpy, sys, torch
from lorasweep.training import loop
from lorasweep.training.objectives.denoising import Denoising

noise = Denoising.noise


def failing(self, batch, step, index):
    if step == 3 and os.environ.get("RANK", "0") == os.environ["FAULTY"]:
        {{}}
    return noise(self, batch, step, index)


Denoising.noise = failing
sys.argv[0] = "{ROOT / "train.py"}"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("rank", "fault", "told"),
    [
        ("0", "raise torch.OutOfMemoryError('CUDA out of memory')", "out of GPU memory in step 4"),
        ("1", "os._exit(1)", "another process of this launch is gone in step 4"),
        ("1", "loop._active = lambda *_: os._exit(1)", "another process of this launch is gone in step 5"),
    ],
    ids=["the first overflows", "the second dies", "the second dies between two steps"],
)
def test_a_launch_that_fails_ends_at_once_and_says_why(
    rank: str, fault: str, told: str, tmp_path: Path, warm: Warm
) -> None:
    program = tmp_path / "faulty.py"
    program.write_text(FAULTY.replace("{}", fault))
    done = train(warm, tmp_path, processes=2, program=program, FAULTY=rank)
    assert done.returncode != 0 and done.stderr.count(told) == 1, done.stderr
    assert "OutOfMemoryError(" not in done.stderr, "no traceback of what is told in words"
    record = json.loads((tmp_path / "fuzzybear" / "v6" / "record.json").read_text())
    assert record["status"] == "failed" and told in record["reason"]


def test_a_version_that_cannot_be_built_ends_in_its_error_and_takes_no_number(tmp_path: Path, warm: Warm) -> None:
    program = tmp_path / "faulty.py"
    build = "Denoising.__init__ = lambda *_: (_ for _ in ()).throw(RuntimeError('no such loss'))"
    program.write_text(FAULTY.replace("Denoising.noise = failing", build).replace("{}", "pass"))
    done = train(warm, tmp_path, processes=1, program=program, FAULTY="0")
    assert done.returncode == 1 and "RuntimeError: no such loss" in done.stderr
    assert not (tmp_path / "fuzzybear").exists()


def test_what_cannot_be_shared_is_refused_once_and_in_words(tmp_path: Path, warm: Warm) -> None:
    done = train(warm, tmp_path, "training.batch_size=1", processes=2)
    assert done.returncode != 0 and done.stderr.count("training.batch_size=1 on 2 processes") == 1
    assert not (tmp_path / "fuzzybear").exists()


def test_a_search_is_not_started_through_a_launch(warm: Warm) -> None:
    done = warm.run(["python", "train.py", "-m", "network.rank=4,8"], ROOT, {"RANK": "0", "WORLD_SIZE": "2"})
    assert done.returncode == 2 and "hydra/launcher=lanes" in done.stderr
