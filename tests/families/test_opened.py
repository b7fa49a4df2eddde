"""The base that is loaded once for all that want the same one."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import cloudpickle
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import lorasweep.training
from lorasweep.app.train import TrainVersion
from lorasweep.compose import composition as compose
from lorasweep.families import load
from lorasweep.families.opened import OpenedBase
from lorasweep.schema import BaseModelConfig, Config


class Loaded:
    """Stands in for a base."""


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, torch.dtype, bool]]:
    """What was loaded: path, precision, and whether the base before was still there."""
    found: list[tuple[str | None, torch.dtype, bool]] = []
    before: list[weakref.ref[Loaded]] = []

    def load_base(config: BaseModelConfig, device: str, dtype: torch.dtype) -> Loaded:
        gc.collect()
        found.append((config.path, dtype, any(each() for each in before)))
        base = Loaded()
        before.append(weakref.ref(base))
        return base

    monkeypatch.setattr(load, "load_base", load_base)
    return found


def test_a_base_is_loaded_once_and_let_go_of_before_another_is_loaded(
    short_config: Config, loads: list[tuple[str | None, torch.dtype, bool]]
) -> None:
    opened = OpenedBase()
    first = opened.of(short_config)
    assert opened.of(replace(short_config, seed=7, dataset=replace(short_config.dataset, theme="food"))) is first
    del first
    other = replace(short_config, base_model=replace(short_config.base_model, path="other"))
    narrow = replace(other, training=replace(other.training, mixed_precision="bf16"))
    whole = replace(narrow, network=replace(narrow.network, type="full"))
    for config in (other, narrow, whole, whole):
        opened.of(config)
    wide = torch.float32
    assert loads == [
        (None, wide, False),
        ("other", wide, False),
        ("other", torch.bfloat16, False),
        ("other", wide, False),
    ]


def test_after_a_base_that_cannot_be_loaded_the_next_one_is(
    short_config: Config, loads: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, other = OpenedBase(), replace(short_config, base_model=BaseModelConfig(path="other"))
    opened.of(short_config)
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(load, "load_base", lambda *_: (_ for _ in ()).throw(OSError))
        opened.of(other)
    opened.of(short_config)
    assert len(loads) == 2


def test_the_jobs_of_a_process_share_a_base_and_a_copy_for_another_process_has_none(
    short_config: Config, loads: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = SimpleNamespace(
        overrides=SimpleNamespace(task=[], hydra=[]),
        runtime=SimpleNamespace(choices={}),
        job=SimpleNamespace(config_name="config"),
        mode=RunMode.MULTIRUN,
    )
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: state))
    monkeypatch.setattr(compose, "settle", lambda *_: short_config)
    monkeypatch.setattr(lorasweep.training, "run", lambda job, opened: opened.of(job.config))
    task, config = TrainVersion(), DictConfig({})
    first = task(config)
    assert task(config) is first and len(loads) == 1
    there = cloudpickle.loads(cloudpickle.dumps(task))
    assert there(config) is there(config) is not first and len(loads) == 2
