"""Whole runs: losses of every kind, measuring, sampling, parts that rest in the CPU's memory, resume."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs import ledger
from lorasweep.runs.record import Record
from lorasweep.schema import Config
from lorasweep.training.job import Job

from ...training_on import run, run_cohort
from ..card import Card, OnCard
from .conftest import Begin, small, with_changes
from .test_steps import PREPARED, trained

LOSSES: dict[str, dict[str, Any]] = {
    "huber, by SNR": {"loss.type": "huber", "loss.huber_schedule": "snr"},
    "min-SNR": {"loss.min_snr_gamma": 5.0},
    "debiased": {"loss.debiased": True},
    "noise": {"loss.noise_offset_random": True, "loss.adaptive_noise_scale": 0.1, "loss.multires_iterations": 3},
    "perturbed": {"loss.input_perturbation": 0.1},
    "preservation": {"loss.preservation_class": "person"},
    "by batch": {"compat.noise_by_batch": True, "loss.multires_iterations": 3},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "checkpointing": {"training.gradient_checkpointing": True},
    "dropouts": {"network.dropout": 0.1, "network.rank_dropout": 0.1, "network.module_dropout": 0.1},
    "accumulation, capped": {"training.gradient_accumulation": 2, "network.max_norm": 0.01},
    "text from the cache": PREPARED,
    "EMA": {"training.ema_decay": 0.9},
    "int8": {"base_model.quantization": "int8"},
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adafactor": {"optimizer.beta1": None, "optimizer.beta2": None, "optimizer.eps": None},
    "prodigy": {"optimizer.lr": 1.0, "optimizer.text_encoder_lr": 1.0},
    "adamw_schedule_free": {"scheduler.name": "constant"},
}


@pytest.mark.parametrize("changes", LOSSES.values(), ids=LOSSES)
def test_every_loss(changes: dict[str, Any], begin: Begin) -> None:
    trained(begin, changes | PREPARED, steps=1)


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
def test_what_a_step_can_have_besides(changes: dict[str, Any], begin: Begin) -> None:
    trained(begin, changes, steps=1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name: str, begin: Begin) -> None:
    trained(begin, {"optimizer.name": name, **OPTIMIZERS[name]})


def test_masks_reach_the_gpu(begin: Begin) -> None:
    with begin(PREPARED) as version:
        batch = version.dataset.batch(version.plan.batches(0)[0])
        half = torch.ones_like(batch.latents[:, :1])
        half[..., :4] = 0
        noisy = version.objective.noise(replace(batch, masks=half), step=0, index=0)
        values = version.objective.loss(version.objective.predict(noisy), noisy)
        assert isinstance(values, OnCard) and all(map(math.isfinite, values.tolist()))


@pytest.fixture
def complete(config: Config, toy_base: SDXL, gpu: Card, tmp_path: Path) -> Callable[..., dict[str, torch.Tensor]]:
    """Return what trains on the GPU, with measures and samples, and returns the final state."""
    config.training.epochs, config.training.batch_size, config.sampling.every_epochs = 2, 8, 1
    config.sampling.prompts, config.sampling.steps, config.evaluation.max_images = ["a bear"], 1, 2
    config.evaluation.heldout_loss, config.objective = True, "val/loss"
    config.evaluation.timesteps = config.evaluation.bins = 2
    config.training.state_every_steps = 1

    def completed(changes: dict[str, Any], *, stop: bool = False) -> dict[str, torch.Tensor]:
        changed = with_changes(replace(config, output_root=str(tmp_path)), changes)
        base = small(toy_base, changed)
        if stop:
            run_cohort([Job(changed, report=lambda step, metrics: "enough")], base=base)
        else:
            run(changed, base=base)
        folder = ledger.find(changed.output_root, changed.name, "latest")
        record = Record.read(folder)
        assert math.isfinite((record.metrics.base or {})["val/loss"]) and "Pretended" in str(
            record.environment["device"]
        )
        assert len(list((folder / "samples").glob("*.png"))) >= 2
        return load_file(next((folder / "state").glob("*.safetensors")))

    return completed


RUNS: dict[str, dict[str, Any]] = {
    "text encoders trained, fp16": {"training.mixed_precision": "fp16"},
    "text encoders resting, bf16": {"training.ema_decay": 0.9, **PREPARED},
    "full": {"network.type": "full", "training.diffusers_folder": False, **PREPARED},
}


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_a_run_measures_samples_and_goes_on_as_if_it_had_not_stopped(
    changes: dict[str, Any], complete: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    straight = complete({**changes, "output_root": str(tmp_path / "straight")})
    complete(changes, stop=True)
    resumed = complete({**changes, "resume": "latest"})
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
