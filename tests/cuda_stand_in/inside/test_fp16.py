"""What only fp16 has: a loss scale, and steps that are skipped when it overflows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lorasweep.training.loop import train_step
from lorasweep.training.train_state import OVERFLOWS, NonFiniteError
from lorasweep.training.version import Version

from .conftest import Begin

FP16: dict[str, Any] = {"training.mixed_precision": "fp16", "training.max_steps": 40, "optimizer.text_encoder_lr": 0.0}


def overflow(version: Version, factor: float = 1e38) -> None:
    """Let the gradients of all further steps be infinite in fp16."""
    backward = type(version.accelerator).backward
    version.accelerator.backward = lambda loss: backward(version.accelerator, loss * factor)  # type: ignore[method-assign]


def test_an_overflow_is_skipped_counted_and_lowers_the_scale(begin: Begin) -> None:
    with begin(FP16) as version:
        scaler = version.accelerator.scaler
        assert scaler is not None and not train_step(version).skipped
        scale, before = scaler.get_scale(), version.adapter.state()
        overflow(version)
        report = train_step(version)
        assert report.skipped and version.step == 2
        assert scaler.get_scale() == scale / 2
        assert all(torch.equal(value, before[name]) for name, value in version.adapter.state().items())
        del version.accelerator.backward  # type: ignore[attr-defined]
        assert not train_step(version).skipped and version.state.overflows == 0


def test_a_run_that_only_skips_ends_in_words_and_not_as_complete(begin: Begin, tmp_path: Path) -> None:
    with begin(FP16) as version:
        overflow(version)
        for _ in range(OVERFLOWS - 5):
            assert train_step(version).skipped
        version.state.save(tmp_path)
    with begin(FP16) as version:  # an interruption begins no new count
        version.state.load(tmp_path)
        overflow(version)
        for _ in range(4):
            train_step(version)
        with pytest.raises(NonFiniteError, match=f"because fp16 overflowed: {OVERFLOWS}"):
            train_step(version)
    with begin({**FP16, "training.max_steps": 3}) as version:
        overflow(version)
        train_step(version)
        train_step(version)
        with pytest.raises(NonFiniteError, match="overflowed: 3"):
            train_step(version)


def test_the_scale_goes_on_after_a_resume_and_torch_has_nothing_to_warn_of(begin: Begin, tmp_path: Path) -> None:
    def told(version: Version) -> dict[str, Tensor]:
        return version.adapter.state()

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*optimizer.step.*")
        with begin(FP16) as straight:
            for _ in range(4):
                train_step(straight)
            expected, scaler = told(straight), straight.accelerator.scaler
            assert scaler is not None
            tracker = scaler.state_dict()["_growth_tracker"]
        with begin(FP16) as first:
            train_step(first)
            train_step(first)
            first.state.save(tmp_path)
        with begin(FP16) as second:
            second.state.load(tmp_path)
            train_step(second)
            train_step(second)
            assert all(torch.equal(value, expected[name]) for name, value in told(second).items())
            assert second.accelerator.scaler is not None
            assert second.accelerator.scaler.state_dict()["_growth_tracker"] == tracker
