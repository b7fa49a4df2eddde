import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import Parameter

from lorasweep.errors import UserError
from lorasweep.families.parts import learning_rates
from lorasweep.families.sdxl import parts
from lorasweep.optim import optimizer as optim
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.optim.rates import current_rates
from lorasweep.optim.schedule import build_schedule
from lorasweep.optim.schedule_free import averaged, everywhere
from lorasweep.optim.state import load_optimizer_state, optimizer_state
from lorasweep.schema import OptimizerConfig, SchedulerConfig
from lorasweep.schema.optimizer import SCHEDULES


def config(name: str, lr: float = 1e-2, **others: object) -> OptimizerConfig:
    """An optimizer for a UNet and a text encoder, at a third of its rate where the optimizer allows."""
    values = {"text_encoder_lr": lr if name == "prodigy" else 0.3 * lr, **others}
    return OptimizerConfig(name=name, lr=lr, **values)  # type: ignore[arg-type]


def build_optimizer(settings, named):
    """The optimizer of a training of SDXL with these settings."""
    return optim.build_optimizer(settings, named, learning_rates(parts.PARTS, settings))


CONFIGS = {
    "adamw": config("adamw"),
    "adamw8bit": config("adamw8bit"),
    "adafactor": config("adafactor", beta1=None, beta2=None, eps=None),
    "adafactor+momentum": config("adafactor", beta1=0.9, beta2=None, eps=None),
    "lion": config("lion", beta2=0.99, eps=None),
    "lion8bit": config("lion8bit", beta2=0.99, eps=None),
    "prodigy": config("prodigy", lr=1.0, d0=1e-3, d_coef=200.0),
    "prodigy, corrected": config(
        "prodigy", lr=1.0, d0=1e-3, d_coef=200.0, use_bias_correction=True, safeguard_warmup=True
    ),
    "schedule-free": config("adamw_schedule_free"),
    "LoRA+": config("adamw", lora_plus_ratio=16.0),
}


def state_of(name, optimizer, named):
    """The state of the optimizer of CONFIGS with this name."""
    return optimizer_state(optimizer, named, optimizer_kind(CONFIGS[name].name).group_state)


SHAPES = {
    "unet.down.lora_A": (16, 320),
    "unet.down.lora_B": (300, 16),
    "unet.conv.lora_A": (8, 4, 3, 3),
    "text_encoder.bias.lora_A": (7,),
}
UP = "unet.down.lora_B"


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, Parameter]:
    """Two tensors large enough for 8 bits (one with a ragged last block), two small, one without gradient."""
    draws = torch.Generator().manual_seed(1)
    values = {name: torch.randn(shape, generator=draws) for name, shape in SHAPES.items()}
    return {
        name: Parameter(value.to(dtype)) for name, value in (values | {"text_encoder.unused": torch.ones(3)}).items()
    }


def train(optimizer: torch.optim.Optimizer, named: dict[str, Parameter], steps: range) -> None:
    """Take steps, with a schedule that warms up and goes down, as a run does.

    Most gradients point the same way, so that Prodigy's rate grows; those of step 3, the first after resuming, point
    back: it stays.
    """
    schedule = build_schedule(SchedulerConfig(name="linear", warmup_steps=1), optimizer, 8, steps.start)
    for step in steps:
        draws = torch.Generator().manual_seed(100 + step)
        for name in SHAPES:
            gradient = torch.randn(SHAPES[name], generator=draws) * 0.1 + (-0.2 if step == 3 else 0.1)
            named[name].grad = gradient.to(named[name].dtype)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_saved_and_loaded_state_continues_bit_for_bit(name, dtype):
    straight = parameters(dtype)
    whole = build_optimizer(CONFIGS[name], straight)
    train(whole, straight, range(6))

    first = parameters(dtype)
    optimizer = build_optimizer(CONFIGS[name], first)
    train(optimizer, first, range(3))
    tensors, plain = state_of(name, optimizer, first)
    data, text = save(tensors), json.dumps(plain)

    second = {key: Parameter(value.detach().clone()) for key, value in reversed(first.items())}
    second = {key: second[key] for key in first}
    resumed = build_optimizer(CONFIGS[name], second)
    load_optimizer_state(resumed, second, load(data), json.loads(text))
    train(resumed, second, range(3, 6))

    for key, value in straight.items():
        assert torch.equal(second[key], value), key
    for expected, found in zip(whole.param_groups, resumed.param_groups, strict=True):
        assert {**expected, "params": None} == {**found, "params": None}
    if "prodigy" in name:
        assert optimizer.param_groups[0]["d"] > CONFIGS[name].d0, "or saving it would not be tested"
    assert not torch.equal(straight[UP], first[UP])


@pytest.mark.parametrize("name", CONFIGS)
def test_losing_the_state_would_show(name):
    """The test above can fail: a fresh optimizer at step 3 ends elsewhere."""
    straight = parameters()
    train(build_optimizer(CONFIGS[name], straight), straight, range(6))
    forgetful = parameters()
    train(build_optimizer(CONFIGS[name], forgetful), forgetful, range(3))
    train(build_optimizer(CONFIGS[name], forgetful), forgetful, range(3, 6))
    assert not torch.equal(straight[UP], forgetful[UP])


def test_adamw8bit_keeps_large_tensors_in_8_bits_and_small_ones_in_32():
    named = parameters()
    optimizer = build_optimizer(CONFIGS["adamw8bit"], named)
    train(optimizer, named, range(1))
    tensors, plain = state_of("adamw8bit", optimizer, named)
    assert tensors["unet.down.lora_A/state1"].dtype == torch.uint8  # 5,120 elements
    assert tensors["unet.conv.lora_A/state1"].dtype == torch.float32  # 288 elements, under 4,096
    assert tensors["unet.down.lora_A/qmap1"].shape == (256,)
    assert plain["unet.down.lora_A"] == {"step": 1}


def test_state_is_a_copy():
    named = parameters()
    optimizer = build_optimizer(CONFIGS["adamw"], named)
    train(optimizer, named, range(1))
    tensors, _ = state_of("adamw", optimizer, named)
    before = tensors[f"{UP}/exp_avg"].clone()
    train(optimizer, named, range(1, 2))
    assert torch.equal(tensors[f"{UP}/exp_avg"], before)


def test_state_of_other_parameters_is_refused():
    named = parameters()
    optimizer = build_optimizer(CONFIGS["adamw"], named)
    train(optimizer, named, range(1))
    tensors, plain = state_of("adamw", optimizer, named)
    renamed = {f"new.{name}": parameter for name, parameter in named.items()}
    with pytest.raises(ValueError, match=r"4 unknown parameters, such as text_encoder\.bias"):
        load_optimizer_state(build_optimizer(CONFIGS["adamw"], named), renamed, tensors, plain)


def one_step(config: OptimizerConfig, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    parameter = Parameter(value.clone())
    optimizer = build_optimizer(config, {"unet.weight": parameter})
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
    optimizer = build_optimizer(config, {"unet.weight": parameter})
    for gradient in (1.0, 3.0):
        parameter.grad = torch.tensor([gradient])
        optimizer.step()
    # step 1: m = v = 1 after correction: -0.1 x 1 / (1 + 1) = -0.05
    # step 2: m = (0.25 x 1 + 0.5 x 3) / 0.75 = 2.333333, v = (0.1875 x 1 + 0.25 x 9) / 0.4375 = 5.571429
    #         -0.1 x 2.333333 / (2.360387 + 1) = -0.069436
    assert math.isclose(parameter.item(), -0.05 - 0.069436, rel_tol=1e-5)


PARTS = ("unet", "text_encoder", "text_encoder_2")


def test_one_named_group_per_component_with_its_rate():
    named = {f"{part}.{half}": Parameter(torch.zeros(2)) for part in PARTS for half in ("lora_A", "lora_B")}
    for name in ("adamw", "adamw8bit", "lion", "adamw_schedule_free", "adafactor"):
        settings = OptimizerConfig(name=name, lr=1e-4, text_encoder_2_lr=5e-5, eps=None)
        optimizer = build_optimizer(settings, named)
        described = [(group["name"], group["lr"], len(group["params"])) for group in optimizer.param_groups]
        assert described == [("unet", 1e-4, 2), ("text_encoder_2", 5e-5, 2)]
        assert current_rates(optimizer) == {"unet": 1e-4, "text_encoder_2": 5e-5}


@pytest.mark.parametrize(
    ("settings", "expected"),
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
def test_learning_rates(settings, expected):
    assert learning_rates(parts.PARTS, settings) == expected


def test_an_unknown_optimizer_is_named():
    with pytest.raises(UserError, match="there is no optimizer sgd"):
        build_optimizer(OptimizerConfig(name="sgd"), {"unet.lora_A": Parameter(torch.zeros(2))})


@pytest.mark.parametrize("name", ["lion", "lion8bit"])
@pytest.mark.parametrize("size", [8, 8192], ids=["32 bit", "8 bit"])
def test_lion_moves_every_weight_by_its_rate(name, size):
    settings = OptimizerConfig(name=name, lr=0.1, weight_decay=0.5, beta1=0.9, beta2=0.5, eps=None)
    gradients = [torch.tensor([3.0, -0.01] * (size // 2)), torch.tensor([-20.0, 0.02] * (size // 2))]
    parameter, mean = Parameter(torch.full((size,), 2.0)), torch.zeros(size)
    expected, optimizer = parameter.detach().clone(), build_optimizer(settings, {"unet.weight": parameter})
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        # arXiv 2302.06675, algorithm 2: the sign of a mean that leans on the new gradient; another mean is kept
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * torch.sign(0.9 * mean + 0.1 * gradient)
        mean = 0.5 * mean + 0.5 * gradient
    torch.testing.assert_close(parameter.detach(), expected)


def prodigy_by_hand(settings: OptimizerConfig, gradients: list[float], multipliers: list[float]) -> tuple[float, float]:
    """Prodigy for one weight that starts at 1 (arXiv 2306.06101, algorithm 4): the weight and the rate it found."""
    beta1, beta2, beta3 = 0.9, 0.99, math.sqrt(0.99)
    weight, mean, square, numerator, away, d = 1.0, 0.0, 0.0, 0.0, 0.0, settings.d0
    for step, (gradient, multiplier) in enumerate(zip(gradients, multipliers, strict=True), 1):
        correction = math.sqrt(1 - beta2**step) / (1 - beta1**step) if settings.use_bias_correction else 1.0
        rate = d * multiplier * correction
        mean = beta1 * mean + (1 - beta1) * d * gradient
        square = beta2 * square + (1 - beta2) * (d * gradient) ** 2
        numerator = beta3 * numerator + d * rate * gradient * (1.0 - weight) / settings.d0
        away = beta3 * away + d * (d if settings.safeguard_warmup else rate) * gradient / settings.d0
        d = max(d, settings.d_coef * numerator / abs(away))
        weight -= rate * settings.weight_decay * weight
        weight -= rate * mean / (math.sqrt(square) + d * 1e-8)
    return weight, d


@pytest.mark.parametrize(
    "others",
    [{}, {"d_coef": 2.0}, {"d0": 1e-2}, {"use_bias_correction": True}, {"safeguard_warmup": True}],
    ids=lambda others: next(iter(others), "plain"),
)
def test_prodigy_by_hand_and_each_knob_changes_it(others):
    plain = OptimizerConfig(name="prodigy", lr=1.0, weight_decay=0.1, beta2=0.99, d0=1e-3)
    settings = replace(plain, **others)
    gradients, multipliers = [2.0, 1.5, 1.0, 0.5, 2.0, 1.0, 1.0, 1.0], [0.2, 0.6, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    parameter = Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = build_optimizer(settings, {"unet.weight": parameter})
    for gradient, multiplier in zip(gradients, multipliers, strict=True):
        optimizer.param_groups[0]["lr"] = multiplier
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    weight, rate = prodigy_by_hand(settings, gradients, multipliers)
    assert parameter.item() == pytest.approx(weight, rel=1e-9)
    assert current_rates(optimizer) == {"unet": pytest.approx(0.5 * rate, rel=1e-9)}
    assert rate > settings.d0, "it has grown"
    if others:
        assert prodigy_by_hand(plain, gradients, multipliers) != (weight, rate)


def test_prodigy_tells_nothing_on_the_screen(capsys):
    build_optimizer(CONFIGS["prodigy"], parameters())
    assert capsys.readouterr().out == ""


def test_schedule_free_by_hand_and_what_is_for_use():
    settings = OptimizerConfig(name="adamw_schedule_free", lr=0.1, weight_decay=0.5, beta1=0.8, beta2=0.9)
    parameter = Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = build_optimizer(settings, {"unet.weight": parameter})
    rates, gradients = [0.0, 0.05, 0.1, 0.1], [1.0, -2.0, 3.0, 0.5]
    x = y = z = 1.0
    square, weights, highest = 0.0, 0.0, 0.0
    for step, (rate, gradient) in enumerate(zip(rates, gradients, strict=True), 1):
        optimizer.param_groups[0]["lr"] = rate  # what a warmup of the schedule sets
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
        # arXiv 2405.15682: gradient at y, step of z, and x the mean of all z, weighted by the square of the rate
        square = 0.9 * square + 0.1 * gradient**2
        z -= rate * (gradient / (math.sqrt(square / (1 - 0.9**step)) + 1e-8) + 0.5 * y)
        highest = max(highest, rate)
        weights += highest**2
        share = highest**2 / weights if weights else 0.0
        x = (1 - share) * x + share * z
        y = 0.2 * z + 0.8 * x
        assert parameter.item() == pytest.approx(y, rel=1e-9)
    with averaged(optimizer):
        assert parameter.item() == pytest.approx(x, rel=1e-9)
    assert abs(x - y) > 1e-3


def test_a_limit_holds_for_all_that_schedule_free_keeps():
    named = {"unet.weight": Parameter(torch.tensor([0.0, 0.0]))}
    (parameter,) = named.values()
    settings = OptimizerConfig(name="adamw_schedule_free", lr=1.0, weight_decay=0, beta1=0.8, beta2=0.9)
    optimizer = build_optimizer(settings, named)

    def limit() -> None:
        with torch.no_grad():
            parameter.clamp_(-0.5, 0.5)

    everywhere(optimizer, limit)  # nothing is kept before the first step
    for _ in range(20):
        parameter.grad = torch.tensor([-1.0, 0.1])
        optimizer.step()
        everywhere(optimizer, limit)
    z = optimizer.state[parameter]["z"]
    assert z.abs().max() <= 0.5, "without the limit z would be at 20 by now, and x far on the other side"
    with averaged(optimizer):
        x = parameter.detach().clone()
    assert x.abs().max() <= 0.5 and x[0] > 0 > x[1]
    torch.testing.assert_close(parameter.detach(), 0.2 * z + 0.8 * x)


def test_a_limit_is_applied_once_where_the_optimizer_keeps_no_weights():
    named = parameters()
    for name in ("adamw", "prodigy"):
        calls: list[int] = []
        everywhere(build_optimizer(CONFIGS[name], named), lambda calls=calls: calls.append(1))
        assert len(calls) == 1


def test_looking_at_the_average_changes_no_bit():
    looked, straight = parameters(), parameters()
    optimizer, other = (build_optimizer(CONFIGS["schedule-free"], named) for named in (looked, straight))
    with averaged(optimizer):
        assert torch.equal(looked[UP], straight[UP]), "before the first step they are the same"
    train(optimizer, looked, range(3))
    trained = looked[UP].detach().clone()
    for _ in range(3):
        with pytest.raises(KeyError), averaged(optimizer):
            assert not torch.equal(looked[UP], trained)
            raise KeyError("an evaluation that fails")
    assert torch.equal(looked[UP], trained)
    train(other, straight, range(3))
    for each, named in ((optimizer, looked), (other, straight)):
        train(each, named, range(3, 6))
    assert all(torch.equal(looked[name], straight[name]) for name in looked)


def test_other_optimizers_have_nothing_to_average():
    named = parameters()
    optimizer = build_optimizer(CONFIGS["adamw"], named)
    train(optimizer, named, range(2))
    before = named[UP].detach().clone()
    with averaged(optimizer):
        assert torch.equal(named[UP], before)


def test_lora_plus_lets_b_learn_faster():
    settings = OptimizerConfig(lr=1e-3, text_encoder_lr=1e-4, lora_plus_ratio=16.0, weight_decay=0.0)
    halves = {f"{part}.lora_{half}": Parameter(torch.ones(4)) for part in PARTS for half in "AB"}
    optimizer = build_optimizer(settings, halves)
    for parameter in halves.values():
        parameter.grad = torch.full_like(parameter, 0.3)
    optimizer.step()
    # Adam's first step is the rate itself
    moved = {name: 1 - parameter[0].item() for name, parameter in halves.items()}
    assert moved == {
        "unet.lora_A": pytest.approx(1e-3, rel=1e-4),
        "unet.lora_B": pytest.approx(16e-3, rel=1e-4),
        **{f"text_encoder{number}.lora_A": pytest.approx(1e-4, rel=1e-3) for number in ("", "_2")},
        **{f"text_encoder{number}.lora_B": pytest.approx(16e-4, rel=1e-3) for number in ("", "_2")},
    }
    assert current_rates(optimizer) == {"unet": 1e-3, "text_encoder": 1e-4, "text_encoder_2": 1e-4}
    schedule = build_schedule(SchedulerConfig(name="linear"), optimizer, 4, 3)
    assert schedule.get_last_lr()[:2] == pytest.approx([0.25e-3, 4e-3])
    assert build_schedule(SchedulerConfig(name="linear"), optimizer, 4, 3).get_last_lr() == schedule.get_last_lr()


def test_lora_plus_without_a_b_is_refused():
    with pytest.raises(UserError, match="lora_plus_ratio=16: this adapter has no B"):
        build_optimizer(OptimizerConfig(lora_plus_ratio=16.0), {"unet.conv_in.weight": Parameter(torch.ones(2))})


def test_group_values_are_saved_and_learning_rates_are_not():
    named = parameters()
    optimizer = build_optimizer(CONFIGS["schedule-free"], named)
    train(optimizer, named, range(3))
    _, plain = state_of("schedule-free", optimizer, named)
    assert plain.keys() == {"unet", "text_encoder"}
    # Linear over 8 steps, one of warmup: 0, 1 and 6/7 of the rate; the weights are the squares of the highest so far
    assert plain["unet"] == {"k": 3, "weight_sum": pytest.approx(2e-4), "lr_max": 1e-2, "train_mode": True}
    _, plain = state_of("LoRA+", build_optimizer(CONFIGS["LoRA+"], named), named)
    assert plain == {}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_rate_of_0_freezes_the_unet_and_nothing_else(kind: str, schedule: str) -> None:
    settings = replace(CONFIGS[kind], lr=0.0)
    named = parameters()
    optimizer = build_optimizer(settings, named)
    rate = settings.text_encoder_lr
    assert current_rates(optimizer).keys() == {"text_encoder"}
    scheduler = SchedulerConfig(name=schedule, warmup_steps=2)
    rates = build_schedule(scheduler, optimizer, 10, 2).get_last_lr()
    assert rates == pytest.approx([rate] * len(rates)), "the peak, right after warmup"
    before = {name: value.detach().clone() for name, value in named.items()}
    for value in named.values():
        value.grad = torch.ones_like(value)
    optimizer.step()
    moved = {name for name, value in named.items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("text_encoder.") for name in moved)
