"""What "auto" stands for on which machine, and what is refused there. torch.cuda says what a test tells it to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn

from lorasweep.errors import UserError
from lorasweep.families import device
from lorasweep.families.device import check_device, choice, describe, open_accelerator, runs_on, set_determinism
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import BaseModelConfig, Config, TrainingConfig

from ..training_on import run

GIB = 2**30
KERNELS = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
"""What wheels of torch for CUDA 13 are built for."""

Card = Callable[..., None]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    device._cards.cache_clear()
    yield
    device._cards.cache_clear()
    AcceleratorState._reset_state(reset_partial_state=True)  # what an accelerator on a pretended GPU left


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """Give the machine a GPU: of a compute capability, with so many bytes free, so many held by this process."""

    def insert(capability: tuple[int, int] = (8, 9), *, free: int = 20 * GIB, held: int = 0) -> None:
        said: dict[str, Any] = {
            "is_available": True,
            "device_count": 1,
            "current_device": 0,
            "get_device_name": "NVIDIA Pretended",
            "get_device_capability": capability,
            "get_device_properties": SimpleNamespace(major=capability[0], minor=capability[1], total_memory=24 * GIB),
            "get_arch_list": KERNELS,
            "mem_get_info": (free, 24 * GIB),
            "memory_reserved": held,
            "_check_bf16_tensor_supported": True,  # by emulation, any GPU can hold one
        }
        for name, value in said.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)

    return insert


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put an nvidia-smi on the path that lists a GPU, whatever torch thinks of it."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA GeForce GTX 1080\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((12, 0), "bf16")],
    ids=["V100", "T4", "A100", "RTX 4090", "RTX 5090"],
)
def test_auto_is_bf16_where_the_gpu_has_it_itself(card: Card, capability: tuple[int, int], precision: str) -> None:
    card(capability)
    assert choice(TrainingConfig()) == ("cuda", precision)


def test_on_a_cpu_auto_is_fp32() -> None:
    assert choice(TrainingConfig()) == ("cpu", "no")
    assert describe(open_accelerator(TrainingConfig())) == "CPU, fp32"


def test_emulated_bf16_is_told(card: Card) -> None:
    card((7, 5))
    assert describe(open_accelerator(TrainingConfig())) == "NVIDIA Pretended (cuda), fp16"
    asked = describe(open_accelerator(TrainingConfig(mixed_precision="bf16")))
    assert "only emulate" in asked and "fp16" in asked
    card((8, 0))
    assert describe(open_accelerator(TrainingConfig(mixed_precision="bf16"))) == "NVIDIA Pretended (cuda), bf16"


def test_one_process_goes_from_device_to_device(card: Card) -> None:
    def opened(device: str, precision: str) -> tuple[str, str]:
        accelerator = open_accelerator(TrainingConfig(device=device, mixed_precision=precision))
        return accelerator.device.type, accelerator.mixed_precision

    card()
    for wanted in [("cpu", "no"), ("cuda", "no"), ("cuda", "bf16"), ("cpu", "bf16"), ("cuda", "fp16"), ("cpu", "no")]:
        assert opened(*wanted) == wanted


def test_the_launchers_accumulation_leaves_gradients_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")  # a DeepSpeed config sets it
    weight = nn.Parameter(torch.ones(3))
    open_accelerator(TrainingConfig()).backward((2 * weight).sum())
    assert weight.grad is not None and weight.grad.tolist() == [2, 2, 2]


@pytest.mark.parametrize("variable", device.FOREIGN_LAUNCHES)
def test_a_launch_that_shares_out_the_model_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match="accelerate launch --multi_gpu"):
        open_accelerator(TrainingConfig())


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ((6, 1), False),
        ((7, 0), False),
        ((7, 5), True),
        ((8, 9), True),
        ((9, 0), True),
        ((12, 0), True),
        ((13, 0), True),
    ],
    ids=["GTX 1080", "V100", "T4", "RTX 4090", "H100", "RTX 5090", "a later one"],
)
def test_kernels_run_on_their_generation_and_portable_ones_on_later_too(
    capability: tuple[int, int], runs: bool
) -> None:
    assert runs_on(KERNELS, capability) == runs


def test_kernels_of_other_makers_are_not_judged() -> None:
    assert runs_on(["gfx942"], (9, 4)) and runs_on([], (8, 0))
    assert runs_on(["sm_90a"], (9, 0)) and not runs_on(["sm_90a"], (10, 0))


def test_a_gpu_that_torch_has_no_kernels_for_is_refused_in_words(card: Card, short_config: Config) -> None:
    card((6, 1))
    with pytest.raises(UserError, match=r"compute capability 6\.1.*sm_75.*training\.device=cpu"):
        check_device(short_config)
    short_config.training.device = "cpu"
    check_device(short_config)
    card((8, 6))
    short_config.training.device = "auto"
    check_device(short_config)


def test_a_large_base_is_not_trained_on_a_cpu_by_accident(short_config: Config, toy_base: SDXL) -> None:
    check_device(short_config)
    short_config.base_model = BaseModelConfig(path="somewhere", resolution=1024)
    with pytest.raises(UserError, match=r"add training\.device=cpu"):
        run(short_config, base=toy_base)
    short_config.training.device = "cpu"
    check_device(short_config)


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_torch_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "without CUDA" in describe(open_accelerator(TrainingConfig()))
    assert describe(open_accelerator(TrainingConfig(device="cpu")), "cpu") == "CPU, fp32", "nobody asked for one"
    with pytest.raises(UserError, match=r"GTX 1080.*built without CUDA.*training\.device=auto"):
        choice(TrainingConfig(device="cuda"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "driver may be too old for CUDA 13.0" in describe(open_accelerator(TrainingConfig()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES=" in describe(open_accelerator(TrainingConfig()))


def test_a_driver_that_does_not_answer_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", 10)

    monkeypatch.setattr(device.shutil, "which", lambda name: name)
    monkeypatch.setattr(device.subprocess, "run", silent)
    assert describe(open_accelerator(TrainingConfig())) == "CPU, fp32"


def test_available_is_what_is_free_and_what_is_held_already(card: Card) -> None:
    card(free=17 * GIB, held=3 * GIB)
    assert device.gpu_memory(torch.device("cuda", 0)) == 20 * GIB, "not the card's 24"
    assert device.gpu_memory(torch.device("cpu")) is None


def test_determinism_is_switched_for_the_process_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_determinism(TrainingConfig(deterministic=True))
    try:
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        assert not torch.is_deterministic_algorithms_warn_only_enabled(), "fused attention would only warn"
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        set_determinism(TrainingConfig())
    assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.deterministic


def test_a_run_computes_as_it_was_told(short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # whoever chose it keeps it
    short_config.training.deterministic, short_config.training.max_steps = True, 2
    seen: list[bool] = []

    def strict(base: SDXL, *_: Any) -> Any:
        seen.append(torch.are_deterministic_algorithms_enabled())
        if len(seen) == 2:
            raise RuntimeError(
                "foo_cuda does not have a deterministic implementation, but you set 'torch.use_...'. You"
            )
        return predict(base, *_)

    predict = SDXL.predict
    monkeypatch.setattr(SDXL, "predict", strict)
    with pytest.raises(
        UserError, match=r"(?s)foo_cuda does not have.*go on without it .*training\.deterministic=false"
    ):
        run(short_config, base=toy_base)
    assert seen[0] and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    monkeypatch.setattr(SDXL, "predict", predict)
    run(replace(short_config, resume="v6", training=replace(short_config.training, deterministic=False)), base=toy_base)
    assert not torch.are_deterministic_algorithms_enabled()
