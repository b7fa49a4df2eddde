import json
import math

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import Parameter

from lorasweep.config import OptimizerConfig
from lorasweep.errors import UserError
from lorasweep.training.optimizers import (
    build_optimizer,
    learning_rates,
    load_optimizer_state,
    optimizer_state,
)

CONFIGS = {
    "adamw": OptimizerConfig(name="adamw", lr=1e-2),
    "adamw8bit": OptimizerConfig(name="adamw8bit", lr=1e-2),
    "adafactor": OptimizerConfig(name="adafactor", lr=1e-2, beta1=None, beta2=None, eps=None),
    "adafactor+momentum": OptimizerConfig(name="adafactor", lr=1e-2, beta1=0.9, beta2=None, eps=None),
}
SHAPES = {"unet.down": (16, 320), "unet.up": (300, 16), "unet.conv": (8, 4, 3, 3), "text.bias": (7,)}


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, Parameter]:
    """Two tensors large enough for 8 bits (one with a ragged last block), two small, one without gradient."""
    draws = torch.Generator().manual_seed(1)
    values = {name: torch.randn(shape, generator=draws) for name, shape in SHAPES.items()}
    return {name: Parameter(value.to(dtype)) for name, value in (values | {"text.unused": torch.ones(3)}).items()}


def build(config: OptimizerConfig, named: dict[str, Parameter]) -> torch.optim.Optimizer:
    groups = {
        "unet": [parameter for name, parameter in named.items() if name.startswith("unet")],
        "text_encoder": [parameter for name, parameter in named.items() if name.startswith("text")],
    }
    return build_optimizer(config, groups, {"unet": 1e-2, "text_encoder": 3e-3})


def train(optimizer: torch.optim.Optimizer, named: dict[str, Parameter], steps: range) -> None:
    for step in steps:
        draws = torch.Generator().manual_seed(100 + step)
        for name in SHAPES:
            gradient = torch.randn(SHAPES[name], generator=draws) * 0.1
            named[name].grad = gradient.to(named[name].dtype)
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_saved_and_loaded_state_continues_bit_for_bit(name, dtype):
    straight = parameters(dtype)
    train(build(CONFIGS[name], straight), straight, range(5))

    first = parameters(dtype)
    optimizer = build(CONFIGS[name], first)
    train(optimizer, first, range(3))
    tensors, plain = optimizer_state(optimizer, first)
    data, text = save(tensors), json.dumps(plain)

    second = {key: Parameter(value.detach().clone()) for key, value in reversed(first.items())}
    second = {key: second[key] for key in first}
    resumed = build(CONFIGS[name], second)
    load_optimizer_state(resumed, second, load(data), json.loads(text))
    train(resumed, second, range(3, 5))

    for key, value in straight.items():
        assert torch.equal(second[key], value), key
    assert not torch.equal(straight["unet.up"], first["unet.up"])


@pytest.mark.parametrize("name", CONFIGS)
def test_losing_the_state_would_show(name):
    """The test above can fail: a fresh optimizer at step 3 ends elsewhere."""
    straight = parameters()
    train(build(CONFIGS[name], straight), straight, range(5))
    forgetful = parameters()
    train(build(CONFIGS[name], forgetful), forgetful, range(3))
    train(build(CONFIGS[name], forgetful), forgetful, range(3, 5))
    assert not torch.equal(straight["unet.up"], forgetful["unet.up"])


def test_adamw8bit_keeps_large_tensors_in_8_bits_and_small_ones_in_32():
    named = parameters()
    optimizer = build(CONFIGS["adamw8bit"], named)
    train(optimizer, named, range(1))
    tensors, plain = optimizer_state(optimizer, named)
    assert tensors["unet.down/state1"].dtype == torch.uint8  # 5,120 elements
    assert tensors["unet.conv/state1"].dtype == torch.float32  # 288 elements, under 4,096
    assert tensors["unet.down/qmap1"].shape == (256,)
    assert plain["unet.down"] == {"step": 1}


def test_state_is_a_copy():
    named = parameters()
    optimizer = build(CONFIGS["adamw"], named)
    train(optimizer, named, range(1))
    tensors, _ = optimizer_state(optimizer, named)
    before = tensors["unet.up/exp_avg"].clone()
    train(optimizer, named, range(1, 2))
    assert torch.equal(tensors["unet.up/exp_avg"], before)


def test_state_of_other_parameters_is_refused():
    named = parameters()
    optimizer = build(CONFIGS["adamw"], named)
    train(optimizer, named, range(1))
    tensors, plain = optimizer_state(optimizer, named)
    renamed = {f"new.{name}": parameter for name, parameter in named.items()}
    with pytest.raises(ValueError, match=r"4 unknown parameters, such as text\.bias"):
        load_optimizer_state(build(CONFIGS["adamw"], named), renamed, tensors, plain)


def one_step(config: OptimizerConfig, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    parameter = Parameter(value.clone())
    optimizer = build_optimizer(config, {"unet": [parameter]}, {"unet": config.lr})
    parameter.grad = gradient
    optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_first_adamw_step_by_hand(name):
    config = OptimizerConfig(name=name, lr=0.1, weight_decay=0.5)
    # decay: 2 x (1 - 0.1 x 0.5) = 1.9; then lr x m / sqrt(v) = 0.1 x sign(g), as both are bias-corrected
    result = one_step(config, torch.full((8,), 2.0), torch.tensor([3.0, -3.0] * 4))
    torch.testing.assert_close(result, torch.tensor([1.8, 2.0] * 4))


def test_first_adafactor_step_by_hand():
    config = OptimizerConfig(name="adafactor", lr=0.1, weight_decay=0.5, beta1=None, beta2=None, eps=None)
    # |g| = 3 everywhere, so g / sqrt(mean of squares) = sign(g), whose RMS 1 is not above the clipping
    # threshold 1; neither the parameter's own size (2) nor the step number enters: the rate is 0.1. Decay as
    # above.
    result = one_step(config, torch.full((2, 4), 2.0), torch.tensor([[3.0, -3.0] * 2] * 2))
    torch.testing.assert_close(result, torch.tensor([[1.8, 2.0] * 2] * 2))


def test_adafactor_eps_is_added_to_the_squared_gradient():
    config = OptimizerConfig(name="adafactor", lr=0.1, weight_decay=0.0, beta1=None, beta2=None, eps=16.0)
    # 3 / sqrt(9 + 16) = 0.6
    result = one_step(config, torch.zeros(4), torch.full((4,), 3.0))
    torch.testing.assert_close(result, torch.full((4,), -0.06))


def test_adamw_betas_and_eps_arrive():
    config = OptimizerConfig(name="adamw", lr=0.1, weight_decay=0.0, beta1=0.5, beta2=0.75, eps=1.0)
    parameter = Parameter(torch.zeros(1))
    optimizer = build_optimizer(config, {"unet": [parameter]}, {"unet": 0.1})
    for gradient in (1.0, 3.0):
        parameter.grad = torch.tensor([gradient])
        optimizer.step()
    # step 1: m = v = 1 after correction: -0.1 x 1 / (1 + 1) = -0.05
    # step 2: m = (0.25 x 1 + 0.5 x 3) / 0.75 = 2.333333, v = (0.1875 x 1 + 0.25 x 9) / 0.4375 = 5.571429
    #         -0.1 x 2.333333 / (2.360387 + 1) = -0.069436
    assert math.isclose(parameter.item(), -0.05 - 0.069436, rel_tol=1e-5)


def test_one_named_group_per_component_with_its_rate():
    groups = {name: [Parameter(torch.zeros(2))] for name in ("unet", "text_encoder", "text_encoder_2")}
    for config in CONFIGS.values():
        optimizer = build_optimizer(config, groups, {"unet": 1e-4, "text_encoder_2": 5e-5})
        described = [(group["name"], group["lr"]) for group in optimizer.param_groups]
        assert described == [("unet", 1e-4), ("text_encoder_2", 5e-5)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (OptimizerConfig(lr=1e-4), {"unet": 1e-4}),
        (
            OptimizerConfig(lr=1e-4, text_encoder_lr=5e-5),
            {"unet": 1e-4, "text_encoder": 5e-5, "text_encoder_2": 5e-5},
        ),
        (
            OptimizerConfig(lr=1e-4, text_encoder_lr=5e-5, text_encoder_2_lr=0.0),
            {"unet": 1e-4, "text_encoder": 5e-5},
        ),
        (OptimizerConfig(lr=1e-4, text_encoder_2_lr=2e-5), {"unet": 1e-4, "text_encoder_2": 2e-5}),
    ],
)
def test_learning_rates(config, expected):
    assert learning_rates(config) == expected


def test_betas_that_do_not_fit_the_optimizer_are_refused_together():
    groups = {"unet": [Parameter(torch.zeros(2))]}
    with pytest.raises(UserError, match=r"beta2=0\.999: adafactor has no beta2"):
        build_optimizer(OptimizerConfig(name="adafactor"), groups, {"unet": 1e-4})
    with pytest.raises(UserError) as caught:
        build_optimizer(OptimizerConfig(beta1=None, beta2=None), groups, {"unet": 1e-4})
    assert len(caught.value.problems) == 2


def test_unknown_optimizer_is_named():
    with pytest.raises(ValueError, match="'lion'"):
        build_optimizer(OptimizerConfig(name="lion"), {"unet": [Parameter(torch.zeros(2))]}, {"unet": 1e-4})
