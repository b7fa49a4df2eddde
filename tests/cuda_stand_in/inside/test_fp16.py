"""What only fp16 has: a loss scale, and steps that are skipped when it overflows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lorasweep.training.version import OVERFLOWS, NonFiniteError, Version

from .conftest import Begin

FP16: dict[str, Any] = {"training.mixed_precision": "fp16", "training.max_steps": 40, "optimizer.text_encoder_lr": 0.0}


def overflow(version: Version, factor: float = 1e38) -> None:
    """Let the gradients of all further steps be infinite in fp16."""
    backward = type(version.accelerator).backward
    version.accelerator.backward = lambda loss: backward(version.accelerator, loss * factor)  # type: ignore[method-assign]


def test_an_overflow_is_skipped_counted_and_lowers_the_scale(begin: Begin) -> None:
    with begin(FP16) as version:
        scaler = version.accelerator.scaler
        assert scaler is not None and not version.train_step().skipped
        scale, before = scaler.get_scale(), version.adapter.state()
        overflow(version)
        report = version.train_step()
        assert report.skipped and version.step == 2
        assert scaler.get_scale() == scale / 2
        assert all(torch.equal(value, before[name]) for name, value in version.adapter.state().items())
        del version.accelerator.backward  # type: ignore[attr-defined]
        assert not version.train_step().skipped and version.overflows == 0


def test_a_run_that_only_skips_ends_in_words_and_not_as_complete(begin: Begin, tmp_path: Path) -> None:
    with begin(FP16) as version:
        overflow(version)
        for _ in range(OVERFLOWS - 5):
            assert version.train_step().skipped
        version.save_state(tmp_path)
    with begin(FP16) as version:  # an interruption begins no new count
        version.load_state(tmp_path)
        overflow(version)
        for _ in range(4):
            version.train_step()
        with pytest.raises(NonFiniteError, match=f"because fp16 overflowed: {OVERFLOWS}"):
            version.train_step()
    with begin({**FP16, "training.max_steps": 3}) as version:
        overflow(version)
        version.train_step()
        version.train_step()
        with pytest.raises(NonFiniteError, match="overflowed: 3"):
            version.train_step()


def test_the_scale_goes_on_after_a_resume_and_torch_has_nothing_to_warn_of(begin: Begin, tmp_path: Path) -> None:
    def told(version: Version) -> dict[str, Tensor]:
        return version.adapter.state()

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*optimizer.step.*")
        with begin(FP16) as straight:
            for _ in range(4):
                straight.train_step()
            expected, scaler = told(straight), straight.accelerator.scaler
            assert scaler is not None
            tracker = scaler.state_dict()["_growth_tracker"]
        with begin(FP16) as first:
            first.train_step()
            first.train_step()
            first.save_state(tmp_path)
        with begin(FP16) as second:
            second.load_state(tmp_path)
            second.train_step()
            second.train_step()
            assert all(torch.equal(value, expected[name]) for name, value in told(second).items())
            assert second.accelerator.scaler is not None
            assert second.accelerator.scaler.state_dict()["_growth_tracker"] == tracker
