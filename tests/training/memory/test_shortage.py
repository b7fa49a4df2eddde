"""Where the GPU's memory is not enough: it is recognised, told with what was being done, and every cure is applied."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lorasweep.compose.composition import load_config
from lorasweep.errors import UserError
from lorasweep.families.opened import OpenedBase
from lorasweep.families.sdxl.model import SDXL
from lorasweep.metrics.heldout import HeldoutLoss
from lorasweep.runs.record import Record
from lorasweep.schema import Config
from lorasweep.training import loop
from lorasweep.training.memory import forecast
from lorasweep.training.memory.estimate import GIB, estimate
from lorasweep.training.memory.shortage import out_of_memory
from lorasweep.training.memory.spill import SpillWatch
from lorasweep.training.samples import Samples
from lorasweep.training.session import Session
from lorasweep.training.version import Version

from ...training_on import run

ASKED = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1.20 GiB is free"
)


@pytest.fixture
def line(tmp_path: Path, composed_configs: None) -> list[str]:
    """A short run as it is typed."""
    short = ["training.max_steps=2", "training.batch_size=4", "evaluation.timesteps=4", "evaluation.max_images=1"]
    return ["lora=fuzzybear", f"output_root={tmp_path}", *short, "sampling.every_epochs=0", "tracker=none"]


def overflow(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError(ASKED)


def ways(error: UserError, begin: str) -> list[list[str]]:
    """The overrides of the commands whose purpose begins so."""
    found = [command for purpose, command in error.ways.items() if purpose.startswith(begin)]
    return [shlex.split(command.removeprefix("python train.py ")) for command in found]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory", 2),
    ],
    ids=lambda error: str(error)[:40],
)
def test_a_full_gpu_is_recognised_whoever_says_so(error: Exception) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError("out of memory"), MemoryError()], ids=repr)
def test_other_errors_are_others(error: Exception) -> None:
    assert not out_of_memory(error)


def test_every_cure_of_an_overflow_is_taken_by_the_program(
    line: list[str], toy_base: SDXL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    step = loop.train_step

    def tight(self: Version) -> object:
        if self.step == 1 and not self.config.training.gradient_checkpointing:
            overflow()
        return step(self)

    monkeypatch.setattr(loop, "train_step", tight)
    config = load_config(line)
    with pytest.raises(UserError) as stopped:
        run(config, overrides=line, base=toy_base)
    assert stopped.value.problems == ["out of GPU memory in step 2 (CUDA out of memory. Tried to allocate 2.00 GiB)"]
    on, anew = ways(stopped.value, "go on with "), ways(stopped.value, "begin anew with ")
    assert len(on) + len(anew) == 3 == stopped.value.render().count("saves about")
    now = estimate(config, toy_base).total
    for overrides in anew:
        assert estimate(load_config(overrides), toy_base).total < now, overrides
    assert len(on) == 1 and "training.gradient_checkpointing=true" in on[0]
    run(load_config(on[0]), overrides=on[0], base=toy_base)
    record = Record.read(tmp_path / "fuzzybear" / "v6")
    assert record.status == "complete" and record.epochs[-1].step == 2


def test_the_closing_table_goes_on_with_the_cure(
    line: list[str], toy_base: SDXL, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loop, "train_step", overflow)
    with pytest.raises(UserError) as stopped:
        run(load_config(line), overrides=line, base=toy_base)
    (on,) = ways(stopped.value, "go on with training.gradient_checkpointing=true (saves about ")
    assert shlex.join(["python", "train.py", *on]) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "method", "words", "cure"),
    [
        (Samples, "draw", "while samples were drawn", "sampling.every_epochs=0"),
        (HeldoutLoss, "measure", "while the version was measured", "optimizer=adamw8bit"),
    ],
)
def test_measuring_and_sampling_have_words_and_cures_of_their_own(
    place: type,
    method: str,
    words: str,
    cure: str,
    short_config: Config,
    toy_base: SDXL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short_config.sampling.prompts, short_config.sampling.every_epochs, short_config.sampling.steps = ["humanoid"], 1, 1
    short_config.optimizer.name = "adamw"
    monkeypatch.setattr(place, method, overflow)
    with pytest.raises(UserError) as stopped:
        run(short_config, base=toy_base)
    text = stopped.value.render()
    assert words in text and f"{cure} (saves about" in text and "in step" not in text


def test_no_room_to_begin_in_is_told_with_the_command_that_may_have_it(
    line: list[str], toy_base: SDXL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place, name, words in (
        (OpenedBase, "of", "while the base was loaded"),
        (SDXL, "encode_images", "while images and captions were encoded"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, overflow)
            with pytest.raises(UserError) as stopped:
                run(load_config(line), overrides=line, base=None if name == "of" else toy_base)
        text = stopped.value.render()
        assert words in text and "Tried to allocate 2.00 GiB" in text
        found = ways(stopped.value, "base_model.quantization=")
        assert found and all(load_config(overrides).base_model.quantization for overrides in found)
        assert not (tmp_path / "fuzzybear").exists()


def test_an_error_is_told_whatever_else_fails(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no estimate, no curves")

    monkeypatch.setattr(loop, "train_step", overflow)
    monkeypatch.setattr(forecast, "estimate", broken)
    monkeypatch.setattr(Session, "close", broken)
    with pytest.raises(UserError, match="out of GPU memory in step 1"):
        run(short_config, base=toy_base)


def test_a_trial_is_told_settings_and_no_commands(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "train_step", overflow)
    trial: dict[str, object] = {"study": "rates", "number": 3}
    with pytest.raises(UserError) as stopped:
        run(copy.deepcopy(short_config), trial=trial, base=toy_base)
    text = stopped.value.render()
    assert text.count("saves about") == 3 and "python train.py" not in text


def test_a_spill_is_named_once() -> None:
    watch = SpillWatch(available=12 * 2**30)
    full, free = int(11.9 * 2**30), 6 * 2**30
    assert watch.look(free, 1.0) is None
    assert watch.look(free, 9.0) is None, "slow, but there is room"
    assert watch.look(full, 1.1) is None, "full, but fast"
    warning = watch.look(full, 9.0)
    assert (
        warning is not None
        and "9 times slower" in warning
        and "11.9 GiB in use of the 12.0 GiB that were free" in warning
    )
    assert watch.look(full, 9.0) is None


def test_a_spill_comes_with_commands(
    line: list[str],
    toy_base: SDXL,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin: Callable[[Session], None] = Session.begin

    def crowded(self: Session) -> None:
        self.reporter.spill = SpillWatch(available=12 * GIB)
        self.reporter.spill.look(0, 1e-9)  # the fastest steps of all
        begin(self)

    monkeypatch.setattr(Session, "begin", crowded)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 12 * GIB)
    run(load_config(line), overrides=line, base=toy_base)
    text = capsys.readouterr().out
    assert "go on with less" in text
    (command,) = re.findall(r"go on with training.gradient_checkpointing=true .*: python train.py (.*)", text)
    assert load_config([*shlex.split(command), "training.max_steps=3"]).training.gradient_checkpointing
