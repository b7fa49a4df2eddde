"""The moving average against its formula, and what of a run sees it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from lorasweep.families.device import open_accelerator
from lorasweep.families.sdxl.model import SDXL
from lorasweep.optim.average import WeightsAverage
from lorasweep.schema import Config
from lorasweep.training.loop import train_step
from lorasweep.training.start.setup import read_data
from lorasweep.training.version import Version

from ..training_on import run


def test_the_average_follows_its_formula() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    average = WeightsAverage({"p": parameter}, decay=0.5)
    expected, values = 0.0, [3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0]
    for n, value in enumerate(values, 1):
        with torch.no_grad():
            parameter.fill_(value)
        average.step()
        decay = 0.0 if n == 1 else min(0.5, n / (9 + n))
        expected = decay * expected + (1 - decay) * value
    with average.swapped_in():
        assert abs(parameter.item() - expected) < 1e-5
    assert parameter.item() == values[-1]


def stepped(config: Config, base: SDXL, steps: int) -> Version:
    dataset, text = read_data(config, base)
    version = Version(config, 1, base, dataset, text, open_accelerator(config.training))
    for _ in range(steps):
        train_step(version)
    return version


def test_a_version_measures_and_keeps_its_average(short_config: Config, toy_base: SDXL, tmp_path: Path) -> None:
    short_config.training.ema_decay = 0.9
    version = stepped(short_config, toy_base, 3)
    last = version.adapter.state()
    with version.state.averaged():
        mean = version.adapter.state()
    name = "unet.mid_block.attentions.0.proj_in.lora_B"
    assert not torch.equal(mean[name], last[name])
    version.state.save(tmp_path)
    version.remove()

    again = stepped(short_config, toy_base, 0)
    again.state.load(tmp_path)
    with again.state.averaged():
        assert all(torch.equal(value, mean[key]) for key, value in again.adapter.state().items())
    train_step(again)
    with again.state.averaged():
        resumed = again.adapter.state()
    again.remove()
    whole = stepped(short_config, toy_base, 4)
    with whole.state.averaged():
        assert all(torch.equal(resumed[key], value) for key, value in whole.adapter.state().items())
    whole.remove()


def test_the_weights_file_holds_the_average(short_config: Config, toy_base: SDXL, tmp_path: Path) -> None:
    short_config.training.max_steps = 4
    run(short_config, base=toy_base)
    short_config.training.ema_decay = 0.999
    run(short_config, base=toy_base)
    home = tmp_path / "outputs" / "fuzzybear"
    plain, averaged = (load_file(home / f"v{n}" / f"FuzzyBear_v{n}.safetensors") for n in (6, 7))
    up = [name for name in plain if name.endswith("lora_up.weight")]
    size = {n: sum(t[name].float().norm() for name in up) for n, t in ((6, plain), (7, averaged))}
    assert 0 < size[7] < size[6], "an average over the way from zero is shorter than its end"
