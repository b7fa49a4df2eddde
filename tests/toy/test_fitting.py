"""The builder's loop: a build that was stopped goes on as if it had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lorasweep.randomness import generator
from lorasweep.toy.fitting import Fitting, fit, learning_rate


def trained(plan: Fitting, stop_at: int | None = None) -> list[Tensor]:
    """Fit a small layer to noise that is a function of the step; return what was exported last."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    exported: list[list[Tensor]] = []

    def loss_of(step: int) -> Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        return model(torch.randn(4, 3, generator=generator(1, "fit", step))).square().mean()

    def export(module: nn.Module) -> None:
        exported.append([parameter.detach().clone() for parameter in module.parameters()])

    try:
        fit(model, loss_of, export, plan)
    except KeyboardInterrupt:
        return []
    return exported[-1]


def test_a_stopped_build_ends_with_the_same_bits(tmp_path: Path) -> None:
    plan = Fitting(steps=12, lr=0.1, warmup=3, export_every=4)
    straight = trained(plan)
    kept = replace(plan, state=tmp_path / "state.safetensors")
    assert trained(kept, stop_at=6) == []
    resumed = trained(kept)
    assert all(torch.equal(left, right) for left, right in zip(straight, resumed, strict=True))


def test_weights_in_channels_last_order_are_kept_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = tmp_path / "state.safetensors"
    plan = Fitting(steps=3, lr=0.1, export_every=2, state=state)
    fit(layer, lambda step: layer(torch.ones(1, 3, 4, 4)).square().mean(), lambda module: None, plan)
    assert load_file(state)["model.weight"].shape == (4, 3, 3, 3)


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    plan = Fitting(steps=110, lr=1.0, warmup=10)
    assert learning_rate(0, plan) == 0.1
    assert learning_rate(9, plan) == 1.0
    assert abs(learning_rate(60, plan) - 0.5) < 1e-9  # half of the cosine
    assert learning_rate(110, plan) < 1e-9
