"""Training steps of every network, loss and optimizer, in every precision: no tensor is left behind on the CPU."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch

from lorasweep.training.loop import train_step

from ..card import Card, OnCard
from .conftest import Begin

PREPARED: dict[str, Any] = {"optimizer.text_encoder_lr": 0.0}
"""Text encoders frozen: their outputs come from the cache."""

NETWORKS: dict[str, dict[str, Any]] = {
    "lora": {},
    "convolutions": {"network.convolutions": True},
    "dora": {"network.dora": True},
    "loha": {"network.type": "loha"},
    "lokr": {"network.type": "lokr"},
    "full": {"network.type": "full"},
}


def trained(begin: Begin, changes: dict[str, Any], steps: int = 2) -> list[float]:
    """Take steps, look at what they leave, and return their losses."""
    with begin(changes) as version:
        before = {name: parameter.detach().clone() for name, parameter in version.state.parameters.items()}
        losses = [train_step(version).loss for _ in range(steps)]
        assert all(map(math.isfinite, losses)), losses
        assert all(isinstance(parameter, OnCard) for parameter in version.state.parameters.values())
        assert all(parameter.dtype == torch.float32 for parameter in version.state.parameters.values())
        moved = [
            name for name, parameter in version.state.parameters.items() if not torch.equal(parameter, before[name])
        ]
        parts = {name.partition(".")[0] for name in moved}
        assert parts == set(version.components), f"only {parts} learnt"
        for state in version.state.optimizer.state.values():
            values = [value for value in state.values() if isinstance(value, torch.Tensor) and value.dim() > 0]
            assert all(isinstance(value, OnCard) for value in values)
        return losses


@pytest.mark.parametrize(
    "changes",
    [PREPARED, {}, {**PREPARED, "loss.preservation_class": "person"}, {"training.ema_decay": 0.9}],
    ids=["text from the cache", "text encoders trained", "preservation", "EMA"],
)
def test_a_step_waits_for_the_gpu_once(changes: dict[str, Any], begin: Begin, gpu: Card) -> None:
    with begin(changes) as version:
        train_step(version)
        gpu.waits.clear()
        train_step(version)
        assert gpu.waits == Counter({"to CPU": 1}), "loss and gradient's norm, read together"


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_in_every_precision(network: str, precision: str, begin: Begin) -> None:
    trained(begin, {**NETWORKS[network], "training.mixed_precision": precision})
