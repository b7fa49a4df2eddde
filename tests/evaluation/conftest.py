"""Finished versions for the verbs that look at them: weights that no training made, as these tests need none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from lorasweep.adapters.adapter import build_adapter
from lorasweep.compose.composition import load_config
from lorasweep.export.weights import export_tensors, write_weights
from lorasweep.families.opened import OpenedBase
from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs import paths
from lorasweep.runs.record import Epoch, Record

from ..adapters.tiny_sdxl import randomise

SHORT = [
    "tracker=none",
    "sampling.steps=2",
    "sampling.guidance=1",
    "sampling.prompts=['{trigger}, waving','a person, standing']",
    "evaluation.timesteps=2",
    "evaluation.bins=2",
    "evaluation.max_images=2",
    "network.rank=2",
    "network.alpha=2",
]

MakeVersion = Callable[..., Record]


@pytest.fixture
def make_version(
    tmp_path: Path, toy_base: SDXL, composed_configs: None, monkeypatch: pytest.MonkeyPatch
) -> MakeVersion:
    """Returns what makes a finished version below `tmp_path`, of random weights; all use the session's toy base."""
    monkeypatch.setattr(OpenedBase, "of", lambda self, config: toy_base)

    def make(theme: str = "fuzzybear", number: int = 6, *, seed: int = 1, scale: float = 0.2) -> Record:
        config = load_config([f"lora={theme}", f"output_root={tmp_path}", *SHORT])
        adapter = build_adapter(toy_base, config.network, components=("unet",), seed=0, name=f"{theme} {number}")
        randomise(adapter, seed, scale)
        tensors = export_tensors(adapter.state(), config.network, toy_base.naming)
        adapter.remove()
        folder = tmp_path / theme / f"v{number}"
        folder.mkdir(parents=True)
        plain = OmegaConf.to_container(OmegaConf.structured(config))
        record = Record(folder=folder, name=config.name, version=number, status="complete", selected_epoch=1)
        record.config = plain  # type: ignore[assignment]
        for path in (paths.weights(folder, record.stem, 1), paths.selected(folder, record.stem)):
            write_weights(path, tensors, {"ss_output_name": record.stem})
        record.epochs = [Epoch(1, 4, paths.weights(folder, record.stem, 1).name, {"val/loss": 0.5})]
        record.write()
        return record

    torch.set_num_threads(1)
    return make
