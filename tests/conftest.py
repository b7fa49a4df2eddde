"""What tests of several rooms share: the toy base, and a config of a short run on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: several test processes share two cores
os.environ["LORASWEEP_COMMAND"] = "python train.py"  # what printed commands begin with, wherever a test works

import signal
from types import SimpleNamespace

import pytest
import torch

from lorasweep.compose.composition import composing
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import BaseModelConfig, Config
from lorasweep.training.reporting import reporter

from .warm import Warm

# Tests interrupt processes; a shell that runs the tests in the background has them, and their children, ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def toy_base() -> SDXL:
    """The toy base in 32 bit on the CPU; tests leave it as they found it."""
    torch.set_num_threads(1)
    return load_base(BaseModelConfig(resolution=64), "cpu", torch.float32)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Runs commands of this checkout, each in a fork: ten seconds of CPU sooner than in a process of its own."""
    process = Warm(Path(__file__).resolve().parents[1])
    yield process
    process.close()


@pytest.fixture(scope="module")
def composed_configs() -> Iterator[None]:
    """Inside, command lines are composed with the configs of `conf/`."""
    with composing():
        yield


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def short_config(tmp_path: Path) -> Config:
    """A run of FuzzyBear of 12 steps in 3 epochs, without samples or trackers, that writes below `tmp_path`."""
    config = Config(name="FuzzyBear", recipe="fuzzybear", output_root=str(tmp_path / "outputs"))
    config.base_model.resolution = 64
    config.dataset.theme = "fuzzybear"
    config.dataset.trigger = "fortnite_fuzzy_bear_character"
    config.dataset.resolution = 64
    config.dataset.bucket_min, config.dataset.bucket_max, config.dataset.bucket_step = 32, 128, 4
    config.dataset.flip = True
    config.dataset.caption_dropout = 0.1
    config.network.rank, config.network.alpha = 4, 2
    config.optimizer.lr, config.optimizer.text_encoder_lr = 1e-3, 5e-4
    config.loss.noise_offset = 0.05
    config.training.batch_size, config.training.epochs = 2, 3
    config.training.state_every_steps = 0
    config.evaluation.timesteps, config.evaluation.max_images = 4, 2
    config.sampling.prompts, config.sampling.seeds, config.sampling.every_epochs = [], [0], 0
    config.tracker.tensorboard = False
    config.tracker.wandb.mode = "disabled"
    return config


@pytest.fixture
def curves() -> None:
    """Whoever asks for it has `curves.png` drawn."""


@pytest.fixture(autouse=True)
def no_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file stands in for `curves.png`, which takes a fifth of a short run."""
    if "curves" not in request.fixturenames:
        stand_in = SimpleNamespace(write_curves=lambda rows, path, **options: path.touch())
        monkeypatch.setattr(reporter, "curves", stand_in)
