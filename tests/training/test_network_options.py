"""The adapter's options in training: resumed exactly, held to a norm, started from a file."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lorasweep import files
from lorasweep.checks import check
from lorasweep.errors import UserError
from lorasweep.export.weights import read_weights
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.job import Job
from lorasweep.training.start import starting_point

from ..export.reading import state_in
from ..training_on import run, run_cohort


@pytest.fixture
def config(short_config: Config) -> Config:
    """Two epochs of one step with few layers, and no measurements."""
    short_config.training.epochs = 2
    short_config.network.attention = short_config.network.feed_forward = False
    short_config.training.batch_size = 8
    short_config.evaluation.heldout_loss, short_config.objective = False, "train/loss"
    short_config.evaluation.select_by = "last"
    return short_config


def weights(config: Config, number: int = 6, epoch: int = 2) -> dict[str, torch.Tensor]:
    return load_file(file_of(config, number, epoch))


def file_of(config: Config, number: int = 6, epoch: int = 2) -> Path:
    return Path(config.output_root) / "fuzzybear" / f"v{number}" / f"FuzzyBear_v{number}-{epoch:06d}.safetensors"


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", ["lora", "lokr"])
def test_resume_is_exact_with_dropouts(kind: str, config: Config, toy_base: SDXL, tmp_path: Path) -> None:
    config.network.type, config.network.rank = kind, 1
    config.network.rank_dropout, config.network.module_dropout, config.network.max_norm = 0.2, 0.3, 0.05
    assert check(config) == []
    run(config, base=toy_base)
    halved = copy.deepcopy(config)
    halved.output_root = str(tmp_path / "halved")
    halved.evaluation.timesteps = halved.evaluation.max_images = 1
    halved.evaluation.heldout_loss = True  # the report comes after a measurement
    run_cohort([Job(halved, report=lambda step, metrics: "enough")], base=toy_base)
    run(replace(halved, resume="v6"), base=toy_base)
    assert same(weights(config), weights(halved, 7)), "what has ended goes on as a new version"


def norms(tensors: dict[str, torch.Tensor]) -> list[float]:
    """|alpha / rank * up @ down| of every module."""
    found = []
    for name, down in tensors.items():
        if name.endswith("lora_down.weight"):
            module = name.partition(".")[0]
            up, alpha = tensors[f"{module}.lora_up.weight"].float(), tensors[f"{module}.alpha"].item()
            found.append(((up.flatten(1) @ down.float().flatten(1)) * alpha / down.shape[0]).norm().item())
    return found


@pytest.mark.parametrize("average", [None, "ema", "schedule-free"])
def test_no_update_grows_beyond_max_norm(average: str | None, config: Config, toy_base: SDXL) -> None:
    if average == "ema":
        config.training.ema_decay = 0.9
    if average == "schedule-free":
        config.optimizer.name, config.optimizer.lr, config.scheduler.name = "adamw_schedule_free", 1e-2, "constant"
        config.training.batch_size = 2
    run(config, base=toy_base)
    free = norms(weights(config))
    config.network.max_norm = sorted(free)[len(free) // 2]
    assert check(config) == []
    run(config, base=toy_base)
    capped = norms(weights(config, 7))
    assert max(capped) <= config.network.max_norm * 1.002 < max(free)  # fp16 rounds the file
    assert read_weights(file_of(config, 7))[1]["ss_scale_weight_norms"] == str(config.network.max_norm)


def test_training_starts_from_a_file_and_says_of_which(
    config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(starting_point, "echo", said.append)
    run(config, base=toy_base)
    source = file_of(config)
    further = copy.deepcopy(config)
    further.network.start_from, further.network.attention = str(source), True
    further.optimizer.lr = further.optimizer.text_encoder_lr = 1e-12  # what it starts from is what it ends with
    further.training.max_steps = 1
    assert check(further) == []
    run(further, base=toy_base)
    result, metadata = read_weights(file_of(further, 7, 1))
    for name, tensor in load_file(source).items():
        torch.testing.assert_close(result[name], tensor, rtol=1e-3, atol=1e-7)
    new = [name for name in result if "attn" in name and name.endswith("up.weight") and "te" not in name[:7]]
    assert new and not any(result[name].abs().max() > 1e-6 for name in new)
    assert "layers that FuzzyBear_v6-000002.safetensors lacks start anew, such as unet." in said[0]
    assert metadata["lorasweep.start_from_sha256"] == files.sha256_of(source)
    assert json.loads(metadata["lorasweep.config"])["network"]["start_from"] == str(source)
    config.network.start_from = None
    assert "lorasweep.start_from_sha256" not in read_weights(source)[1]
    assert state_in(result, further.network, toy_base.naming)


def test_a_file_with_more_than_is_trained_is_refused(config: Config, toy_base: SDXL) -> None:
    run(config, base=toy_base)
    less = copy.deepcopy(config)
    less.network.start_from = str(file_of(config))
    less.optimizer.text_encoder_lr = 0.0
    with pytest.raises(UserError, match=r"text_encoder\..*optimizer\.text_encoder_lr"):
        run(less, base=toy_base)
    less.optimizer.text_encoder_lr, less.network.projections = 5e-4, False
    less.network.convolutions = True
    with pytest.raises(UserError, match=r"(?s)does not train.*proj_in.*network=lora"):
        run(less, base=toy_base)
    less.network.convolutions = False
    less.network.projections, less.network.rank = True, 8
    with pytest.raises(UserError, match=r"set network\.rank=4 network\.alpha=2"):
        run(less, base=toy_base)
    assert not any("lora_A" in name for name, _ in toy_base.modules["unet"].named_modules())  # nothing stayed
