"""The toy base's UNet is made by the trainer's own full fine-tune, from random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from lorasweep.families.load import load_base
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import BaseModelConfig
from lorasweep.toy.train_unet import train_unet


def test_a_base_is_trained_from_random_weights(tmp_path: Path) -> None:
    base, cache = tmp_path / "base", tmp_path / "cache"
    (base / "vae").mkdir(parents=True)
    for file in (BASE_PATH / "vae").iterdir():
        (base / "vae" / file.name).write_bytes(file.read_bytes())
    train_unet(base, cache, seed=0, steps=40, batch=4, humanoids=24)
    (folder,) = cache.glob("*/outputs/humanoid/v8")
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "complete" and record["config"]["network"]["type"] == "full"
    assert record["metrics"]["selected"]["val/loss_ratio"] < 0.9, "0.8 was measured; untrained is 1"
    begun, finished = (
        load_base(BaseModelConfig(path=str(path), resolution=64), "cpu", torch.float32)
        for path in (folder.parents[2] / "begun", base)
    )
    for part in ("unet", "text_encoder", "text_encoder_2"):
        pairs = zip(begun.modules[part].parameters(), finished.modules[part].parameters(), strict=True)
        assert max(float((left - right).abs().max()) for left, right in pairs) > 1e-3, part
    train_unet(base, cache, seed=0, steps=40, batch=4, humanoids=24)  # what is complete is not trained again
    assert [*cache.glob("*/outputs/humanoid/v*")] == [folder]
    made = (base / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    train_unet(base, cache, seed=0, steps=1, batch=4, humanoids=24, start=base)  # but other settings are
    assert len([*cache.glob("*/outputs/humanoid/v8")]) == 2
    assert (base / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() != made
