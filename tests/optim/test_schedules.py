from dataclasses import replace
from typing import Any

import pytest
import torch

from lorasweep.errors import UserError
from lorasweep.optim.schedule import build_schedule
from lorasweep.optim.warmup import misfits, warmup_steps
from lorasweep.schema import SchedulerConfig
from lorasweep.schema.optimizer import SCHEDULES


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def rates_at(config: SchedulerConfig, total: int, step: int, *peaks: float) -> list[float]:
    """Learning rates of a run that is resumed at `step`."""
    return build_schedule(config, optimizer(*(peaks or (1.0,))), total, step).get_last_lr()


def straight(config: SchedulerConfig, total: int, *peaks: float) -> list[list[float]]:
    """Learning rates of every step of a run that is never interrupted."""
    optim = optimizer(*peaks)
    schedule = build_schedule(config, optim, total)
    rates = []
    for _ in range(total):
        rates.append([group["lr"] for group in optim.param_groups])
        optim.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("step", "total", "share"),
    [
        # the documented LoRAs' chosen epochs: (1 + cos(pi step / total)) / 2
        (3780, 4725, 0.095),  # Animal e12: (1 + cos 144 deg) / 2 = (1 - 0.8090) / 2
        (1080, 4050, 0.835),  # Food v8 e8: (1 + cos 48 deg) / 2 = (1 + 0.6691) / 2
        (2400, 4500, 0.448),  # Robots e8: (1 + cos 96 deg) / 2 = (1 - 0.1045) / 2
        (2470, 3800, 0.273),  # StarWars e13: (1 + cos 117 deg) / 2 = (1 - 0.4540) / 2
    ],
)
def test_cosine_of_the_documented_loras(step, total, share):
    assert rates_at(SchedulerConfig(name="cosine"), total, step)[0] == pytest.approx(share, abs=5e-4)


def test_cosine_from_peak_to_zero():
    config = SchedulerConfig(name="cosine")
    assert rates_at(config, 100, 0) == [1.0]
    assert rates_at(config, 100, 50)[0] == pytest.approx(0.5)
    assert rates_at(config, 100, 100)[0] == pytest.approx(0.0, abs=1e-12)


def test_cosine_with_warmup():
    config = SchedulerConfig(name="cosine", warmup_steps=20)
    assert rates_at(config, 100, 0) == [0.0]
    assert rates_at(config, 100, 5)[0] == pytest.approx(0.25)  # 5 / 20
    assert rates_at(config, 100, 20) == [1.0]
    assert rates_at(config, 100, 60)[0] == pytest.approx(0.5)  # half of the 80 steps after warmup


def test_restarts():
    config = SchedulerConfig(name="cosine_with_restarts", cycles=4)
    # each cycle is 25 of 100 steps: (1 + cos(pi x part of the cycle)) / 2
    assert rates_at(config, 100, 0) == [1.0]
    assert rates_at(config, 100, 10)[0] == pytest.approx(0.654508)  # part 0.4: (1 + cos 72 deg) / 2
    assert rates_at(config, 100, 24)[0] == pytest.approx(0.003943, abs=1e-6)  # part 0.96: (1 + cos 172.8 deg) / 2
    assert rates_at(config, 100, 25)[0] == pytest.approx(1.0)
    assert rates_at(config, 100, 35)[0] == pytest.approx(0.654508)
    assert rates_at(config, 100, 100) == [0.0]


def test_linear():
    config = SchedulerConfig(name="linear", warmup_ratio=0.2)
    # warmup 10 of 50 steps, then down over 40
    assert [rates_at(config, 50, step)[0] for step in (0, 5, 10, 20, 50)] == pytest.approx([0, 0.5, 1, 0.75, 0])


def test_constant_with_and_without_warmup():
    assert [rates_at(SchedulerConfig(name="constant"), 10, step)[0] for step in (0, 9)] == [1, 1]
    warm = SchedulerConfig(name="constant", warmup_steps=4)
    assert [rates_at(warm, 10, step)[0] for step in (0, 1, 3, 4, 9)] == [0, 0.25, 0.75, 1, 1]


def test_warmup_by_ratio_is_rounded_to_the_nearest_step():
    assert warmup_steps(SchedulerConfig(warmup_ratio=0.1), 4725) == 472
    assert warmup_steps(SchedulerConfig(warmup_ratio=0.29), 100) == 29  # 0.29 x 100 is 28.999... in binary
    assert warmup_steps(SchedulerConfig(warmup_steps=7), 4725) == 7


def test_groups_keep_their_own_rates():
    rates = rates_at(SchedulerConfig(name="linear"), 100, 75, 1e-4, 5e-5)
    assert rates == pytest.approx([2.5e-5, 1.25e-5])


def test_cosine_with_a_floor():
    config = SchedulerConfig(name="cosine", warmup_steps=20, min_lr_ratio=0.1)
    # 0.1 + 0.9 (1 + cos(pi p)) / 2: warmup goes from 0 as ever; p = 0, 1/4, 1/2, 1
    expected = [0.5, 1.0, 0.1 + 0.9 * 0.853553, 0.55, 0.1]
    assert [rates_at(config, 100, step)[0] for step in (10, 20, 40, 60, 100)] == pytest.approx(expected, abs=1e-6)


def test_polynomial():
    config = SchedulerConfig(name="polynomial", warmup_steps=20, power=2.0, min_lr_ratio=0.2)
    # 0.2 + 0.8 (1 - p)^2 with p = 0, 1/4, 1/2, 3/4, 1, for each group of its own rate
    expected = [0.2 + 0.8 * left**2 for left in (1, 0.75, 0.5, 0.25, 0)]
    rates = [rates_at(config, 100, step, 1e-4, 5e-5) for step in (20, 40, 60, 80, 100)]
    assert [rate[0] for rate in rates] == pytest.approx([1e-4 * share for share in expected])
    assert [rate[1] for rate in rates] == pytest.approx([5e-5 * share for share in expected])
    assert rates_at(config, 100, 5) == [0.25]
    straight_line = SchedulerConfig(name="polynomial", warmup_steps=20)
    for step in range(101):
        assert rates_at(straight_line, 100, step) == pytest.approx(
            rates_at(SchedulerConfig(name="linear", warmup_steps=20), 100, step)
        )


@pytest.mark.parametrize(
    ("shape", "shares"),
    [
        ("linear", [1.0, 0.75, 0.5, 0.25]),  # 1 - p of the decay, p = 0, 1/4, 1/2, 3/4
        ("cosine", [1.0, 0.853553, 0.5, 0.146447]),  # (1 + cos(pi p)) / 2
        ("1-sqrt", [1.0, 0.5, 0.292893, 0.133975]),  # 1 - sqrt(p)
    ],
)
def test_warmup_stable_decay(shape, shares):
    config = SchedulerConfig(name="warmup_stable_decay", warmup_steps=10, decay_ratio=0.4, decay_shape=shape)
    assert [rates_at(config, 100, step)[0] for step in (0, 5, 10, 35, 59)] == pytest.approx([0, 0.5, 1, 1, 1])
    assert [rates_at(config, 100, step)[0] for step in (60, 70, 80, 90)] == pytest.approx(shares, abs=1e-6)
    assert rates_at(config, 100, 100) == [0.0]
    floored = replace(config, min_lr_ratio=0.1)
    expected = [0.1 + 0.9 * share for share in (0, 0.5, *shares, 0)]
    found = [rates_at(floored, 100, step)[0] for step in (0, 5, 60, 70, 80, 90, 100)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_inverse_square_root():
    config = SchedulerConfig(name="inverse_sqrt", warmup_ratio=0.25)
    # up over 25 of 100 steps, then sqrt(25 / step)
    expected = [0.0, 0.4, 1.0, 5 / 6, 5 / 7, 0.5]
    assert [rates_at(config, 100, step)[0] for step in (0, 10, 25, 36, 49, 100)] == pytest.approx(expected)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [9, 10, 12])
def test_a_warmup_that_leaves_no_time_only_warms_up(name, warmup):
    config = SchedulerConfig(name=name, warmup_steps=warmup)
    rates = [rate for (rate,) in straight(config, 10, 1.0)]  # which also asks for the rate after the last step
    assert rates == pytest.approx([min(step / warmup, 1) for step in range(10)])


@pytest.mark.parametrize("name", SCHEDULES)
def test_resumed_schedule_goes_on_exactly_as_the_straight_one(name):
    config = SchedulerConfig(name=name, warmup_steps=3, cycles=3, power=1.5, min_lr_ratio=0.05)
    expected = straight(config, 37, 1e-4, 3e-5)
    for start in range(37):
        optim = optimizer(1e-4, 3e-5)
        schedule = build_schedule(config, optim, 37, start)
        assert [group["lr"] for group in optim.param_groups] == expected[start]
        if start + 1 < 37:
            optim.step()
            schedule.step()
            assert [group["lr"] for group in optim.param_groups] == expected[start + 1]


def test_unknown_schedule_is_named():
    with pytest.raises(UserError, match="there is no schedule staircase"):
        build_schedule(SchedulerConfig(name="staircase"), optimizer(1.0), 10)


MISFITS = [
    ({"warmup_steps": 100}, "scheduler.warmup_steps=100: expected less than 100 steps, such as 10"),
    ({"warmup_ratio": 0.996}, "scheduler.warmup_ratio=0.996: of 100 steps that is all; set 0"),
    (
        {"name": "warmup_stable_decay", "warmup_steps": 85},
        "scheduler.warmup_steps=85 and scheduler.decay_ratio=0.2 are more than 100 steps: "
        "set scheduler.decay_ratio=0.15",
    ),
    (
        {"name": "cosine_with_restarts", "cycles": 100, "warmup_ratio": 0.1},
        "scheduler.cycles=100: expected at most 90, the steps after warmup of 100 steps",
    ),
]


@pytest.mark.parametrize(("settings", "expected"), MISFITS)
def test_what_cannot_be_meant_for_so_many_steps(settings: dict[str, Any], expected: str) -> None:
    [problem] = misfits(SchedulerConfig(**settings), 100, "100 steps")
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"warmup_steps": 99},
        {"warmup_ratio": 0.99},
        {"name": "warmup_stable_decay", "warmup_steps": 80},
        {"name": "warmup_stable_decay", "warmup_ratio": 0.5, "decay_ratio": 0.5},
        {"name": "cosine_with_restarts", "cycles": 100},
        {"name": "cosine", "cycles": 1000},
        {"name": "inverse_sqrt", "warmup_ratio": 0.001},
    ],
)
def test_what_fits_is_left_alone(settings: dict[str, Any]) -> None:
    assert list(misfits(SchedulerConfig(**settings), 100, "100 steps")) == []


def test_inverse_square_root_of_a_run_of_a_few_steps() -> None:
    """A share of 5 steps that rounds to none would make 10,000 steps the scale, and the rate all but constant."""
    config = SchedulerConfig(name="inverse_sqrt", warmup_ratio=0.05)
    assert [rates_at(config, 5, step)[0] for step in (0, 1, 4)] == pytest.approx([0, 1, 0.5])
